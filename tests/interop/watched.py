"""A Vine registry behind a recorder: its clients are given `url` and never notice that it was restarted on another port.

Leases are looked at every 100 ms and self-preservation is off, so that what a test waits for comes within its lease.
"""
import base64
import pathlib

from recorder import Late, Recorder
from registry_client import Eureka
from vine import Vine, wait_for


class KnownEureka(Eureka):
    """A client that says who it is."""

    def __init__(self, port, user):
        super().__init__(port)
        self.authorization = "Basic " + base64.b64encode(user.encode()).decode()

    def request(self, method, path, body=None, **headers):
        return super().request(method, path, body, Authorization=self.authorization, **headers)


class WatchedRegistry:
    """users: {name: password} that are let in, the test as the first of them; none: everybody."""

    def __init__(self, folder, *args, host="127.0.0.1", port=0, env=None, users=None):
        self.folder = pathlib.Path(folder)
        self.args, self.env = args, env
        self.users = [f"{name}:{password}" for name, password in (users or {}).items()]
        self.args += tuple(f"--vine.registry.auth.users.{u.replace(':', '=')}" for u in self.users)
        self.starts = 0
        self.wire = Recorder(None, host, port)
        self.url = self.wire.url
        try:
            self.start()
        except BaseException:
            self.wire.__exit__()
            raise

    def start(self, *args):
        folder = self.folder / f"registry{self.starts}"
        folder.mkdir()
        self.starts += 1
        self.vine = Vine(folder, "registry", "--server.port=0", "--server.address=127.0.0.1", f"--vine.data-dir={self.folder}/data",
                         "--eureka.server.eviction-interval-timer-in-ms=100", "--eureka.server.enable-self-preservation=false",
                         *self.args, *args, env=self.env)
        self.port = self.vine.port
        self.eureka = KnownEureka(self.port, self.users[0]) if self.users else Eureka(self.port)
        self.wire.target = self.port

    def url_as(self, user):
        """The URL with name and password, as Eureka's clients take it."""
        return self.url.replace("//", f"//{next(u for u in self.users if u.startswith(user + ':'))}@")

    def end(self):
        """Ends it in order; its clients find nothing but reset connections."""
        self.eureka.close()
        self.wire.target = None
        self.vine.stop()

    def restart(self, *args):
        self.end()
        self.start(*args)

    def find(self, app, id):
        """The instance, or None."""
        return self.eureka.find(app, id)

    def wait_status(self, app, id, status, timeout=None):
        """Waits until it is there with that status (None: until it is gone); the instance."""
        def look():
            found = self.find(app, id)
            return (found or True) if (found and found["status"]) == status else None
        return wait_for(look, Late(lambda: f"{app}/{id} to be {status}, not {self.find(app, id)}"), timeout)

    def stop(self):
        try:
            self.vine.stop()
        finally:
            self.wire.__exit__()

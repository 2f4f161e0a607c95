"""Certificates for tests, made by the openssl command, and peers that speak TLS by Python's ssl."""
import http.client
import socket
import ssl
import subprocess

from peers import Client


def openssl(*args, cwd):
    done = subprocess.run(["openssl", *map(str, args)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Authority:
    """A certificate authority in a folder, and what it vouches for: NAME.pem, NAME.key."""

    def __init__(self, folder, name="Vine test CA"):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key",
                "-out", "ca.pem", "-days", 3650, "-subj", f"/CN={name}", cwd=folder)
        self.ca = folder / "ca.pem"

    def issue(self, name, san="DNS:localhost,IP:127.0.0.1", subject=None, expired=False):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", subject or f"/CN={name}", cwd=self.folder)
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={san}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "-1" if expired else "90", "-extfile", f"{name}.ext", cwd=self.folder)
        return Identity(self, name)


class Identity:
    def __init__(self, authority, name):
        self.authority, self.name = authority, name
        self.cert, self.key = authority.folder / f"{name}.pem", authority.folder / f"{name}.key"

    def p12(self, password, alias="vine"):
        out = self.authority.folder / f"{self.name}.p12"
        openssl("pkcs12", "-export", "-in", self.cert, "-inkey", self.key, "-name", alias, "-passout", f"pass:{password}",
                "-out", out, cwd=self.authority.folder)
        return out

    def props(self, scope="server.ssl", **more):
        """The properties of a listener or client that shows it, and believes its authority."""
        names = {f"{scope}.certificate": str(self.cert), f"{scope}.certificate-private-key": str(self.key),
                 f"{scope}.trust-certificate": str(self.authority.ca)}
        names.update({f"{scope}.{k.replace('_', '-')}": v for k, v in more.items()})
        return names

    def server_context(self, need_client=False):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(self.cert, self.key)
        if need_client:
            c.load_verify_locations(self.authority.ca)
            c.verify_mode = ssl.CERT_REQUIRED
        return c


def client_context(authority, identity=None, **versions):
    c = ssl.create_default_context(cafile=authority.ca)
    if identity:
        c.load_cert_chain(identity.cert, identity.key)
    for name, value in versions.items():
        setattr(c, name, value)
    return c


class TlsClient(Client):
    """peers.Client over TLS."""

    def __init__(self, port, context, name="localhost"):
        super().__init__(port)
        self.sock = context.wrap_socket(self.sock, server_hostname=name)


def request(port, context, method="GET", path="/", body=None, headers=None, name="localhost"):
    c = http.client.HTTPSConnection(name, port, context=context, timeout=20)
    try:
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        r.body = r.read()
        return r
    finally:
        c.close()


def raw(port, timeout=20):
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def args(props):
    return [f"--{k}={v}" for k, v in props.items()]


def over_tls(context, script, cut=False):
    """A script of peers.Upstream, played over TLS. cut: the connection ends without a goodbye."""
    def play(peer):
        plain = peer.sock
        try:
            plain.settimeout(20)
            peer.sock = context.wrap_socket(plain, server_side=True)
        except (OSError, ssl.SSLError):
            return
        try:
            peer.sock.settimeout(None)
            script(peer)
            if not cut:
                peer.sock.settimeout(5)
                peer.sock.unwrap()
        except (OSError, ssl.SSLError, ValueError):  # the latter: it was shut meanwhile
            pass
        finally:
            peer.sock.close()
    return play

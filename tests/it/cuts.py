"""One exchange of bytes in every cut: whole, in two at each byte, and byte by byte.

play cuts what clients send, ask and script what an upstream answers. All connections of a case are open at once and take turns,
so that the other side really reads what was sent before the next piece comes; on one connection alone the kernel would put the
pieces together again.
"""
from peers import Client


def ways(data):
    """(name, pieces) of each way to cut data."""
    yield "whole", [data]
    for at in range(1, len(data)):
        yield f"cut at {at}", [data[:at], data[at:]]
    yield "byte by byte", [data[i:i + 1] for i in range(len(data))]


def play(port, data, judge, end=False):
    """Sends data in every cut and gives each connection to judge(client). end: the client then sends FIN."""
    clients = [(name, pieces, Client(port)) for name, pieces in ways(data)]
    try:
        for turn in range(max(len(pieces) for _, pieces, _ in clients)):
            for _, pieces, c in clients:
                if turn < len(pieces):
                    try:
                        c.send(pieces[turn])
                        if end and turn == len(pieces) - 1:
                            c.half_close()
                    except (BrokenPipeError, ConnectionResetError):
                        pass  # refused already: what it was told is still to be read
        for name, _, c in clients:
            try:
                judge(c)
            except (AssertionError, ConnectionError, ValueError) as e:
                raise AssertionError(f"{name} of {data!r}: {type(e).__name__}: {e}") from e
    finally:
        for _, _, c in clients:
            c.close()
    return len(clients)


def script(ways, then=None, body=True):
    """An upstream's: reads a request and sends the answer in the way that the request's path numbers. then(peer) is the end of
    its connection; without, it goes on with the next request."""
    def run(peer):
        while (request := peer.next_request(body=body)) is not None:
            for piece in ways[int(request.target[1:])][1]:
                peer.send(piece)
                peer.drain_window()
            if then:
                then(peer)
                return
    return run


def ask(port, ways, request, judge):
    """A client for each way, all at once: request(number of the way) is sent, then judge(client) called."""
    clients = []
    try:
        for i, _ in enumerate(ways):
            clients.append(Client(port))
            clients[-1].send(request(i))
        for (way, _), c in zip(ways, clients):
            try:
                judge(c)
            except (AssertionError, ConnectionError, ValueError) as e:
                raise AssertionError(f"{way}: {type(e).__name__}: {e}") from e
    finally:
        for c in clients:
            c.close()

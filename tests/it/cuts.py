"""One exchange of bytes in every cut: whole, in two at each byte, and byte by byte.

All connections of a case are open at once and take turns, so that the other side really reads what was sent before the next
piece comes; on one connection alone the kernel would put the pieces together again.
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

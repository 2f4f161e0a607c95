"""Bodies stream in both directions: nothing is gathered whole, and who is slow slows his own exchange only."""
import hashlib
import select
import threading

import pytest

import peers
from gateway import ONE, command, simple
from peers import ok, request_bytes, serve
from vine import DEADLINE, SLOWNESS, wait_for

MIB = 1024 * 1024
BLOCK = bytes(range(256)) * 256  # 64 KiB
TOTAL = 200 * MIB
GROWTH = 24 * MIB  # what 200 MiB may leave in memory: buffers of kernel size, never the body


def download(size, chunked):
    """A script that answers with so many bytes."""
    def script(peer):
        while peer.next_request() is not None:
            if chunked:
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(size // len(BLOCK)):
                    peer.send(b"%x\r\n" % len(BLOCK) + BLOCK + b"\r\n")
                peer.send(b"0\r\n\r\n")
            else:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                for _ in range(size // len(BLOCK)):
                    peer.send(BLOCK)
    return script


def digest_of(size):
    h = hashlib.sha1()
    for _ in range(size // len(BLOCK)):
        h.update(BLOCK)
    return h.hexdigest()


def read_digest(peer, head):
    """Reads a body piece by piece: its SHA-1, without keeping it."""
    h = hashlib.sha1()
    if head.chunked():
        for piece in peer.chunks(head):
            h.update(piece)
        return h.hexdigest()
    left = head.length()
    while left:
        if not peer.buffer and not peer.fill():
            raise peers.Closed(f"{left} bytes were still to come")
        piece, peer.buffer = peer.buffer[:left], peer.buffer[left:]
        h.update(piece)
        left -= len(piece)
    return h.hexdigest()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_download_arrives_whole(chunked, vine, upstream, connect):
    size = 20 * MIB
    gw = vine("gateway", config=simple(upstream(download(size, chunked))))
    c = connect(gw)
    for _ in range(2):
        c.send(request_bytes())
        assert read_digest(c, c.read_response(body=False)) == digest_of(size)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_an_upload_arrives_whole(chunked, vine, upstream, connect):
    def script(peer):
        while (request := peer.next_request(body=False)) is not None:
            peer.send(ok(read_digest(peer, request)))

    size = 20 * MIB
    gw = vine("gateway", config=simple(upstream(script)))
    c = connect(gw)
    for _ in range(2):
        c.send(request_bytes("POST", "/", ["Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"]))
        for _ in range(size // len(BLOCK)):
            c.send(b"%x\r\n" % len(BLOCK) + BLOCK + b"\r\n" if chunked else BLOCK)
        if chunked:
            c.send(b"0\r\n\r\n")
        assert c.read_response().body.decode() == digest_of(size)


@pytest.mark.speed
def test_a_slow_reader_of_a_big_body_costs_no_memory(vine, upstream, connect):
    gw = vine("gateway", config=simple(upstream(download(TOTAL, False))))
    assert connect(gw).sock  # one connection's buffers are part of the baseline
    before = gw.rss()
    c = connect(gw, rcvbuf=16 * 1024)
    c.send(request_bytes())
    head = c.read_response(body=False)
    used = gw.cpu()
    wait_for(lambda: stands_still(gw), "a pause of the upstream's side")
    assert gw.rss() - before < GROWTH
    assert gw.cpu() - used < 1.0
    c.sock.setsockopt(peers.socket.SOL_SOCKET, peers.socket.SO_RCVBUF, 1024 * 1024)
    assert read_digest(c, head) == digest_of(TOTAL)
    assert gw.rss() - before < GROWTH


def stands_still(gw, seconds=0.3):
    """No processor time for so long."""
    before = gw.cpu()
    threading.Event().wait(seconds)
    return gw.cpu() - before < 0.01


@pytest.mark.speed
def test_a_slow_upstream_of_a_big_upload_costs_no_memory(vine, upstream, connect):
    go = threading.Event()

    def script(peer):
        request = peer.next_request(body=False)
        go.wait()
        peer.send(ok(read_digest(peer, request)))

    gw = vine("gateway", config=simple(upstream(script, rcvbuf=16 * 1024),
                                       hystrix__command__up__execution__isolation__thread__timeoutInMilliseconds=60000))
    before = gw.rss()
    c = connect(gw)
    c.send(request_bytes("POST", "/", [f"Content-Length: {TOTAL}"]))
    body = BLOCK * 64
    sent = c.send_some(body * (TOTAL // len(body)))
    assert sent < 32 * MIB, "the client was slowed down"
    assert gw.rss() - before < GROWTH
    wait_for(lambda: stands_still(gw), "rest")
    go.set()
    rest = memoryview(BLOCK * (TOTAL // len(BLOCK)))[sent:]
    c.sock.sendall(rest)
    assert c.read_response().body.decode() == digest_of(TOTAL)
    assert gw.rss() - before < GROWTH


def test_pieces_pass_as_they_come(vine, upstream, connect):
    """An event stream: each piece reaches the client before the next one is sent."""
    go = threading.Semaphore(0)

    def script(peer):
        peer.next_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(20):
            go.acquire()
            peer.send(b"9\r\ndata: %02d\n\r\n" % i)
        peer.send(b"0\r\n\r\n")

    gw = vine("gateway", config=simple(upstream(script)))
    c = connect(gw)
    c.send(request_bytes())
    r = c.read_response(body=False)
    pieces = c.chunks(r)
    for i in range(20):
        go.release()
        assert next(pieces) == b"data: %02d\n" % i
    assert list(pieces) == []


def test_an_event_stream_may_be_silent_as_long_as_it_is_told(vine, upstream, connect):
    """0 is for ever: here, for longer than the upstream's own time-outs. Then the limit comes, live, and the stream is cut."""
    go = threading.Event()

    def script(peer):
        while peer.next_request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata\n\r\n")
            go.wait(30)
            peer.send(b"5\r\nmore\n\r\n")

    server = upstream(script)
    gw = vine("gateway", config=simple(server, vine__gateway__stream_idle_timeout_ms=200))
    c = connect(gw)
    c.send(request_bytes())
    pieces = c.chunks(c.read_response(body=False))
    assert next(pieces) == b"data\n"
    with pytest.raises(ConnectionError):
        next(pieces)
    gw.wait_log("read_timeout")

    patient = vine("gateway", config=simple(server, vine__gateway__stream_idle_timeout_ms=0, up__ribbon__ReadTimeout=500 * SLOWNESS,
                                            hystrix__command__up__execution__isolation__thread__timeoutInMilliseconds=700 * SLOWNESS))
    c = connect(patient)
    c.send(request_bytes())
    pieces = c.chunks(c.read_response(body=False))
    assert next(pieces) == b"data\n"
    assert not select.select([c.sock], [], [], 1.0 * SLOWNESS)[0]
    go.set()
    assert next(pieces) == b"more\n"


def test_a_request_body_passes_as_it_comes(vine, upstream, connect):
    got = []
    arrived = threading.Semaphore(0)

    def script(peer):
        request = peer.next_request(body=False)
        for piece in peer.chunks(request):
            got.append(piece)
            arrived.release()
        peer.send(ok(b"done"))

    gw = vine("gateway", config=simple(upstream(script)))
    c = connect(gw)
    c.send(request_bytes("POST", "/", ["Transfer-Encoding: chunked"]))
    for i in range(20):
        c.send(b"2\r\n%02d\r\n" % i)
        assert arrived.acquire(timeout=DEADLINE)
    c.send(b"0\r\n\r\n")
    assert c.read_response().body == b"done"
    assert b"".join(got) == b"".join(b"%02d" % i for i in range(20))


def test_both_ways_at_once(vine, upstream, connect):
    """The upstream sends back what it reads while it reads it."""
    def script(peer):
        request = peer.next_request(body=False)
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in peer.chunks(request):
            peer.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
        peer.send(b"0\r\n\r\n")

    gw = vine("gateway", config=simple(upstream(script)))
    c = connect(gw)
    c.send(request_bytes("POST", "/", ["Transfer-Encoding: chunked"]))
    size = 8 * MIB

    def send():
        for _ in range(size // len(BLOCK)):
            c.send(b"%x\r\n" % len(BLOCK) + BLOCK + b"\r\n")
        c.send(b"0\r\n\r\n")

    sender = threading.Thread(target=send)
    sender.start()
    assert read_digest(c, c.read_response(body=False)) == digest_of(size)
    sender.join()


def test_a_client_that_leaves_in_a_download_frees_the_upstream(vine, upstream, connect):
    up = upstream(download(TOTAL, True))
    gw = vine("gateway", config=simple(up))
    for _ in range(5):
        c = connect(gw)
        c.send(request_bytes())
        c.read_response(body=False)
        c.reset()
    up.wait_open(0)


@pytest.mark.parametrize("size", [100, 16 * 1024])
def test_a_small_body_is_kept_for_the_next_try(size, vine, upstream, connect):
    """An idempotent request whose body was sent already: it is repeated with the same body."""
    def die(peer):
        peer.next_request()

    bad, good = upstream(die), upstream(serve(lambda r: ok(r.body)))
    gw = vine("gateway", config=simple(bad, good, zuul__retryable=True, up__ribbon__OkToRetryOnAllOperations=True,
                                       up__ribbon__NFLoadBalancerRuleClassName="com.netflix.loadbalancer.RoundRobinRule"))
    c = connect(gw)
    for _ in range(4):
        assert c.request("PUT", "/", body=b"x" * size).body == b"x" * size


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_big_body_that_waited_behind_another_request(chunked, vine, upstream, connect):
    """Then all that was read ahead comes in one piece, as large as the limit of a head."""
    go = threading.Event()
    size = MIB

    def script(peer):
        while (request := peer.next_request()) is not None:
            go.wait()
            peer.send(ok(b"%d" % len(request.body)))

    up = upstream(script)
    gw = vine("gateway", "--vine.http.max-head-bytes=1MB", config=simple(up, vine__workers=1))
    c = connect(gw)
    c.send(request_bytes())
    up.wait_requests(1)
    c.send(request_bytes("POST", "/", ["Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"]))
    c.send(b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"b" * size) if chunked else b"b" * size)
    c.drain_window()
    go.set()
    assert c.read_response().body == b"0"
    assert c.read_response().body == b"%d" % size


def test_a_big_body_is_not_repeated(vine, upstream, connect):
    bad, other = upstream(peers.close_after_request), upstream(peers.close_after_request)
    gw = vine("gateway", config=simple(bad, other, zuul__retryable=True))
    r = connect(gw).request("PUT", "/", body=b"x" * 200_000)
    assert r.status == 502
    assert len(bad.requests) + len(other.requests) == 1


ROUND_ROBIN = {"up__ribbon__NFLoadBalancerRuleClassName": "com.netflix.loadbalancer.RoundRobinRule"}


@pytest.mark.parametrize("coding", ["a length", "chunks", "small chunks"])
def test_a_big_upload_finds_another_server_where_one_refuses(coding, vine, upstream, connect):
    """Nothing was sent, so any server may be tried, however long the body is."""
    size = 400_000
    up = upstream(serve(lambda r: ok(b"%d" % len(r.body))))
    sock, port = peers.free_port()
    gw = vine("gateway", "--vine.loadbalancer.default.outlier.enabled=false",
              config=simple(f"127.0.0.1:{port}", up, **ROUND_ROBIN, **ONE))
    for _ in range(6):
        c = connect(gw)
        if coding == "a length":
            c.send(request_bytes("POST", "/", body=b"x" * size))
        else:
            step = 50_000 if coding == "chunks" else 100
            c.send(request_bytes("POST", "/", ["Transfer-Encoding: chunked"]) + peers.chunked(*[b"x" * step] * (size // step)))
        r = c.read_response()
        assert (r.status, r.body) == (200, b"%d" % size)
    sock.close()


@pytest.fixture
def nobody_accepts():
    """An address where connecting takes for ever: the listener's queue is full."""
    listener = peers.socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fill = [peers.socket.socket() for _ in range(4)]
    for s in fill:
        s.setblocking(False)
        s.connect_ex(listener.getsockname())
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    for s in fill + [listener]:
        s.close()


@pytest.mark.speed
def test_an_upload_that_nobody_takes_is_paused(nobody_accepts, vine, connect):
    """While no connection stands, the client is held at the limit: no memory for what it would send."""
    gw = vine("gateway", config=simple(nobody_accepts, up__ribbon__ConnectTimeout=1000))
    before = gw.rss()
    c = connect(gw)
    c.send(request_bytes("POST", "/", ["Content-Length: 100000000"]))
    assert c.send_some(b"x" * 50_000_000, seconds=0.5) < 20_000_000
    assert gw.rss() - before < 4 * 1024 * 1024
    r = c.read_response()
    assert (r.status, r.get("proxy-status")) == (504, "vine; error=connection_timeout")


@pytest.mark.parametrize("whole", [False, True], ids=["half a body", "a whole body"])
def test_the_end_of_a_client_whose_upload_is_paused(whole, nobody_accepts, vine, connect):
    """Its bytes are not read, but that it can send no more is seen: the permit is free at once. A client that has sent all and
    then half-closes still waits for its answer."""
    gw = vine("gateway", config=simple(nobody_accepts, up__ribbon__ConnectTimeout=60_000,
                                       hystrix__command__up__execution__isolation__thread__timeoutInMilliseconds=60_000))
    size = 60_000 if whole else 10_000_000  # what is sent fits the window of one who does not read: the FIN must arrive
    c = connect(gw)
    c.send(request_bytes("POST", "/", [f"Content-Length: {size}"]) + b"x" * 40_000)
    wait_for(lambda: command(gw.port, "up")["currentConcurrentExecutionCount"] == 1, "the permit")
    if whole:
        c.send(b"x" * 40_000)
    c.drain_window()
    c.half_close()
    if whole:
        assert c.quiet(0.3)
        assert command(gw.port, "up")["currentConcurrentExecutionCount"] == 1
        c.reset()
    wait_for(lambda: command(gw.port, "up")["currentConcurrentExecutionCount"] == 0, "the permit back")


@pytest.mark.parametrize("pieces,again", [(16 * 1024, True), (16 * 1024 + 1, False)], ids=["at the limit", "past the limit"])
def test_the_replay_limit_counts_the_body_and_not_its_chunks(pieces, again, vine, upstream, connect):
    """A body in chunks of one byte, as long as the limit, is repeated; one byte more is not."""
    bad, good = upstream(peers.close_after_request), upstream(serve(lambda r: ok(b"%d" % len(r.body))))
    gw = vine("gateway", config=simple(bad, good, zuul__retryable=True, up__ribbon__OkToRetryOnAllOperations=True, **ROUND_ROBIN, **ONE))
    seen = set()
    for _ in range(2):
        c = connect(gw)
        c.send(request_bytes("PUT", "/", ["Transfer-Encoding: chunked"]) + peers.chunked(*[b"x"] * pieces))
        r = c.read_response()
        seen.add((r.status, r.body if r.status == 200 else None))
    assert ((502, None) in seen) != again
    assert (200, b"%d" % pieces) in seen

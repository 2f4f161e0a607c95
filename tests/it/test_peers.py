"""The frame itself: scripted peers against each other, without Vine between them. A frame that lies would hide what it tests."""
import socket

import pytest

import peers
import ports
from peers import chunked, ok, reply, serve


def test_an_upstream_answers_and_records(upstream, connect):
    up = upstream(serve(lambda r: ok(r.body[::-1])))
    c = connect(up)
    assert c.request("POST", "/a", body=b"abc").body == b"cba"
    assert c.request("PUT", "/b", body=b"").status == 200
    assert [(r.method, r.target, r.body, r.complete) for r in up.requests] == [
        ("POST", "/a", b"abc", True), ("PUT", "/b", b"", True)]
    assert up.connections == 1


def test_scripts_go_by_connection(upstream, connect):
    up = upstream(serve(ok(b"1"), times=1), peers.close_after_request, serve(ok(b"3")))
    assert connect(up).get().body == b"1"
    with pytest.raises(peers.Closed):
        connect(up).get()
    assert connect(up).get().body == b"3"
    assert connect(up).get().body == b"3"


def test_bodies_are_read_by_their_framing(upstream, connect):
    answers = [
        reply(200, b"plain"),
        reply(200, chunked(b"in ", b"pieces"), ["Transfer-Encoding: chunked"], length=False),
        reply(103, length=False) + reply(204),
        reply(200, b"until the end", length=False),
    ]
    up = upstream(serve(lambda r: answers[int(r.target[1:])], times=4))
    c = connect(up)
    assert c.get("/0").body == b"plain"
    assert c.get("/1").body == b"in pieces"
    r = c.get("/2")
    assert (r.status, r.body, [i.status for i in r.interim]) == (204, b"", [103])
    assert c.get("/3").body == b"until the end"


def test_a_reset_is_a_reset(upstream, connect):
    up = upstream(peers.reset_after_request)
    with pytest.raises(ConnectionResetError):
        connect(up).get()


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\n\r\n\r\n", b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", b"HTTP/1.1 200 OK\r\nA\r\n\r\n"])
def test_a_malformed_head_is_not_taken(raw):
    with pytest.raises(AssertionError):
        peers.Response(raw)


def test_a_script_that_fails_is_told():
    def script(peer):
        assert peer.next_request().target == "/right"
    up = peers.Upstream(script)
    c = peers.Client(up.port)
    c.send(peers.request_bytes(target="/wrong"))
    c.wait_gone()
    assert any("/wrong" in p or "AssertionError" in p for p in up.stop())


def test_the_port_of_one_that_refuses_stays_its_own():
    """Or another test would listen there, and what should be refused would be answered."""
    up = peers.Upstream()
    up.refuse()
    with pytest.raises(ConnectionRefusedError):
        peers.Client(up.port)
    with socket.socket() as other, pytest.raises(OSError):
        other.bind(("127.0.0.1", up.port))
    back = peers.Upstream(serve(ok(b"back")), port=up.port)
    assert peers.Client(up.port).get().body == b"back"
    assert up.stop() == back.stop() == []


def test_a_row_of_ports_is_given_once():
    low = int(open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii").read().split()[0])
    rows = [ports.row(9) for _ in range(20)]
    assert len({port for base in rows for port in range(base, base + 9)}) == 180
    assert max(rows) + 9 <= low, "the kernel gives none of them away"

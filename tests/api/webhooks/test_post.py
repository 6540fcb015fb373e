"""One try: to whom it connects, what it sends, and what it makes of the answer."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from api.webhooks.address import Rules, destination
from api.webhooks.connect import NameUnknown, addresses_of
from api.webhooks.post import MAX_ANSWER_BYTES, NoAnswer, post
from tests.api.webhooks.receiver import NAME, Receiver, certificate, receiving, status

LOCAL = Rules(http=True, networks=[ipaddress.ip_network("127.0.0.0/8")])
STRICT = Rules(http=True)
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def tell(receiver: Receiver, *, host: str = "127.0.0.1", rules: Rules = LOCAL, scheme: str = "http", **options: Any):
    url = destination(f"{scheme}://{host}:{receiver.port}/hook?a=1", Rules(http=True, networks=LOCAL.networks))
    return post(url, [("X-Test", "1")], b'{"a": 1}', rules=rules, **{"tls": NO_TLS, **options})


class Names:
    """A resolver that says something else each time."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_what_is_sent_and_what_is_made_of_the_answer():
    with receiving(status(204)) as receiver:
        answer = tell(receiver, host="hooks.example.org", resolve=Names(["127.0.0.1"]))
    ((path, headers, body),) = receiver.requests
    assert (answer.status, answer.retry_after_seconds) == (204, None)
    assert (path, body, headers["X-Test"]) == ("/hook?a=1", b'{"a": 1}', "1")
    assert headers["Host"] == f"hooks.example.org:{receiver.port}"
    assert {"Cookie", "Authorization", "Transfer-Encoding"}.isdisjoint(headers)


def test_redirects_are_not_followed():
    with receiving() as other, receiving(status(302, Location=f"http://127.0.0.1:{other.port}/")) as receiver:
        assert tell(receiver).status == 302
    assert other.connections == 0


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch):
    with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        tell(receiver)
    assert (proxy.connections, receiver.connections) == (0, 1)


def test_an_address_that_is_refused_is_not_connected_to():
    with receiving() as receiver:
        for names in (["127.0.0.1"], ["::ffff:127.0.0.1", "10.0.0.1"], []):
            with pytest.raises(NoAnswer, match="private"):
                tell(receiver, host="hooks.example.org", rules=STRICT, resolve=Names(names))
        with pytest.raises(NoAnswer, match="private"):
            tell(receiver, host="localhost", rules=STRICT)  # the system's own resolver
        assert receiver.connections == 0


def test_a_name_that_means_something_else_a_moment_later_changes_nothing():
    """DNS rebinding: the first answer is judged, and connected to."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    with receiving() as receiver:
        assert tell(receiver, host="hooks.example.org", resolve=names).status == 200
        assert names.asked == 1
        names = Names(["93.184.215.14"], ["127.0.0.1"])
        connected: list[Any] = []
        with pytest.MonkeyPatch.context() as patch:

            def refuse(address: Any, *_: Any, **__: Any) -> Any:
                connected.append(address[0])
                raise ConnectionRefusedError(111, "Connection refused")

            patch.setattr(socket, "create_connection", refuse)
            with pytest.raises(NoAnswer, match="No connection: connection refused"):
                tell(receiver, host="hooks.example.org", rules=STRICT, resolve=names)
        assert (connected, names.asked, receiver.connections) == (["93.184.215.14"], 1, 1)


def test_of_several_addresses_the_permitted_are_tried_in_turn():
    with receiving() as receiver:
        names = Names(["10.0.0.1", "127.0.0.9", "127.0.0.1"])  # nobody listens at the second
        assert tell(receiver, host="hooks.example.org", resolve=names).status == 200


def test_decimal_and_odd_addresses_are_judged_by_what_they_resolve_to():
    for odd in ("2130706433", "0x7f.1", "127.1"):
        assert addresses_of(odd, 80) == ["127.0.0.1"]
    with pytest.raises(NameUnknown):
        addresses_of("no-such-name.invalid", 80)


def test_the_certificate_is_held_against_the_name(tmp_path: Path):
    server, client = certificate(tmp_path)
    with receiving(tls=server) as receiver:
        one = {"scheme": "https", "resolve": Names(["127.0.0.1"]), "tls": client}
        assert tell(receiver, host=NAME, **one).status == 200
        with pytest.raises(NoAnswer, match="certificate is not good \\(Hostname mismatch"):
            tell(receiver, host="other.example.org", **one)
        with pytest.raises(NoAnswer, match="certificate is not good \\(self-signed"):
            tell(receiver, host=NAME, **{**one, "tls": ssl.create_default_context()})
        assert len(receiver.requests) == 1


def drip(handler: Any) -> None:
    for character in b"HTTP/1.1 200 OK\r\n" * 100:
        handler.wfile.write(bytes([character]))
        time.sleep(0.05)


def endless(handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65_536)


def silent(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    time.sleep(1)


def test_a_receiver_that_drips_is_given_up():
    with receiving(drip) as receiver:
        began = time.monotonic()
        with pytest.raises(NoAnswer, match=r"No answer within 0\.3 s"):
            tell(receiver, seconds=0.3)
        assert time.monotonic() - began < 1


def test_an_endless_answer_is_not_read_to_its_end():
    with receiving(endless) as receiver:
        began = time.monotonic()
        assert tell(receiver, seconds=5).status == 200
        assert time.monotonic() - began < 2
    assert MAX_ANSWER_BYTES == 65_536


def test_the_status_counts_also_when_the_rest_does_not_come():
    with receiving(silent) as receiver:
        assert tell(receiver, seconds=0.3).status == 200


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), "broke"),
        (lambda handler: handler.wfile.write(b"SSH-2.0-x\r\n\r\n"), "not HTTP"),
        (lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"a: " + b"b" * 1_000_000), "not HTTP|broke"),
    ],
)
def test_what_is_no_answer(reply: Any, says: str):
    with receiving(reply) as receiver, pytest.raises(NoAnswer, match=says):
        tell(receiver)


def test_nobody_listens():
    with receiving() as receiver:
        pass
    with pytest.raises(NoAnswer, match="No connection: connection refused"):
        tell(receiver)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("120", 120, 120), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0), ("soon", None, None), ("-1", None, None)],
)
def test_when_to_come_again(text: str, least: float | None, most: float | None):
    with receiving(status(429, Retry_After=text)) as receiver:
        answer = tell(receiver)
    assert answer.status == 429
    assert answer.retry_after_seconds == least == most


def test_a_slow_handshake_is_given_up(tmp_path: Path):
    _, client = certificate(tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []
    thread = threading.Thread(target=lambda: held.append(listener.accept()[0]), daemon=True)
    thread.start()
    with pytest.raises(NoAnswer, match="No answer within"):
        tell(
            Receiver(port=listener.getsockname()[1]),
            host=NAME,
            scheme="https",
            resolve=Names(["127.0.0.1"]),
            tls=client,
            seconds=0.3,
        )
    thread.join()
    held[0].close()
    listener.close()

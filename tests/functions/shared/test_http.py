"""Outside calls: every wait has an end, every answer a size, and no address but public ones is reached."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.shared.http import (
    AddressRefused,
    AnswerTooLarge,
    AnswerUnreadable,
    DeadlineExceeded,
    Http,
    Unreachable,
    check_url,
    is_public,
)
from tests.functions.shared.conftest import Handler, Loopback, hang_up, reply


@pytest.mark.parametrize(
    "url",
    [
        "http://example.edu/",
        "ftp://example.edu/",
        "file:///etc/passwd",
        "//example.edu/",
        "example.edu",
        "",
        "https://",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://x.localhost/",
        "https://127.0.0.1/",
        "https://127.1.2.3/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://172.16.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://user:pass@example.edu/",
        "https://user@example.edu/",
        "https://example.edu\\@10.0.0.1/",
        "https://example.edu/ x",
        "https://example.edu/\nx",
        "https://example.edu:99999/",
        "https://example.edu:0/",
        "https://[::1",
    ],
)
def test_what_may_not_be_called(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url, local=False)


@pytest.mark.parametrize(
    "url", ["https://canvas.example.edu/api/v1?x=1", "https://1.1.1.1/", "https://[2606:4700::1]/"]
)
def test_what_may_be_called(url: str) -> None:
    assert check_url(url, local=False) == url


def test_local_work_may_call_this_machine_and_no_other_private_one() -> None:
    for url in ("http://127.0.0.1:9/", "http://localhost:9/", "https://[::1]:9/"):
        assert check_url(url, local=True) == url
        with pytest.raises(AddressRefused):
            check_url(url, local=False)
    for url in ("http://192.168.1.1/", "https://169.254.169.254/", "http://example.edu/"):
        with pytest.raises(AddressRefused):
            check_url(url, local=True)


@given(st.ip_addresses(v=4))
def test_an_address_in_ipv6_clothes_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    assert is_public(ipaddress.IPv6Address(f"::ffff:{address}")) == is_public(address)
    assert is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))) == is_public(
        address
    )


@given(st.text(max_size=60))
def test_no_text_breaks_the_check(url: str) -> None:
    try:
        check_url(url, local=False)
    except AddressRefused:
        return
    assert url.lower().startswith("https://")


@pytest.mark.parametrize("name", ["numeric.test", "mixed.test"])
def test_a_name_that_leads_inside_is_refused_when_connecting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only name resolution is replaced: one name leads straight inside, one hides it behind a public address."""
    found = {"numeric.test": ["10.0.0.1"], "mixed.test": ["1.1.1.1", "127.0.0.1"]}

    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for local in (True, False):
        client = Http(local=local)
        with pytest.raises(AddressRefused):
            client.request("GET", f"https://{name}/")
        client.close()


def test_a_whole_answer_comes_back(http: Http, loopback: Callable[[Handler], Loopback]) -> None:
    server = loopback(lambda handler: reply(handler, 201, b'{"a":1}'))
    answer = http.request("POST", f"{server.url}/x", params={"q": "1"}, json={"b": 2})
    assert (answer.status, answer.json(), answer.headers["content-type"]) == (201, {"a": 1}, "application/json")
    assert server.seen == ["/x?q=1"]


def test_redirects_are_handed_back(http: Http, loopback: Callable[[Handler], Loopback]) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server = loopback(redirect)
    assert http.request("GET", f"{server.url}/x").status == 302
    assert server.seen == ["/x"]


def test_cookies_of_one_call_do_not_travel_with_the_next(http: Http, loopback: Callable[[Handler], Loopback]) -> None:
    sent: list[str | None] = []

    def set_cookie(handler: BaseHTTPRequestHandler) -> None:
        sent.append(handler.headers["Cookie"])
        handler.send_response(200)
        handler.send_header("Set-Cookie", "session=of-somebody; Path=/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server = loopback(set_cookie)
    http.request("GET", server.url)
    http.request("GET", server.url)
    assert sent == [None, None]


def test_a_silent_server_ends_at_the_read_deadline(http: Http, loopback: Callable[[Handler], Loopback]) -> None:
    server = loopback(lambda handler: time.sleep(5.0))
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        http.request("GET", server.url, read_seconds=0.2)
    assert time.monotonic() - began < 4


def test_a_trickling_server_ends_at_the_total_deadline(http: Http, loopback: Callable[[Handler], Loopback]) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(200):
            try:
                handler.wfile.write(b"x")
                handler.wfile.flush()
            except OSError:
                return
            time.sleep(0.05)

    server = loopback(trickle)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        http.request("GET", server.url, total_seconds=0.3, read_seconds=0.3)
    assert time.monotonic() - began < 5


def test_a_large_answer_ends_at_the_limit(http: Http, loopback: Callable[[Handler], Loopback]) -> None:
    server = loopback(lambda handler: reply(handler, 200, b"x" * 300_000))
    with pytest.raises(AnswerTooLarge):
        http.request("GET", server.url, max_bytes=200_000)
    assert len(http.request("GET", server.url, max_bytes=300_000).content) == 300_000


def test_a_broken_or_absent_server_is_unreachable(http: Http, loopback: Callable[[Handler], Loopback]) -> None:
    def break_off(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x")
        handler.close_connection = True

    server = loopback(break_off)
    with pytest.raises(Unreachable):
        http.request("GET", server.url)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable):
            http.request("GET", f"http://127.0.0.1:{taken.getsockname()[1]}/")


def test_what_is_not_json_says_so(http: Http, loopback: Callable[[Handler], Loopback]) -> None:
    server = loopback(lambda handler: reply(handler, 200, b"<html>"))
    with pytest.raises(AnswerUnreadable):
        http.request("GET", server.url).json()


def test_faults_carry_no_url(http: Http, loopback: Callable[[Handler], Loopback]) -> None:
    server = loopback(hang_up)
    with pytest.raises(Unreachable) as caught:
        http.request("GET", f"{server.url}/?code=hush")
    assert "hush" not in str(caught.value)

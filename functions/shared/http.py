"""Calls to outside systems, with deadlines and size limits, and never to a private address.

A host comes from a table or a setting, never from a request. Still, every address is checked after the name was
resolved and at the moment of connecting, so that a name cannot change its address in between.
"""

from __future__ import annotations

import functools
import ipaddress
import json as jsonlib
import socket
import ssl
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from functions.shared.settings import Settings, is_loopback

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
TOTAL_SECONDS = 30.0
MAX_RESPONSE_BYTES = 20 * 1024 * 1024
LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=15.0)
USER_AGENT = "Headstart/1"
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")


class OutboundError(Exception):
    """An outside call brought no usable answer. Services turn it into an error of their own.

    ``code`` is stable, so that a service can store it.
    """

    code = "outbound_failed"


class AddressRefused(OutboundError):
    """The URL may not be called: it is not https, has credentials in it, or leads to a private address."""

    code = "address_refused"


class Unreachable(OutboundError):
    """There was no connection, or it broke before the answer was complete."""

    code = "unreachable"


class DeadlineExceeded(OutboundError):
    """Connecting, the next bytes, or the whole answer took too long."""

    code = "deadline_exceeded"


class AnswerTooLarge(OutboundError):
    """The answer is larger than the call allows."""

    code = "answer_too_large"


class AnswerUnreadable(OutboundError):
    """The answer is not the JSON that was expected, or is encoded in a way that was not asked for."""

    code = "answer_unreadable"


@functools.cache
def tls() -> ssl.SSLContext:
    """The trusted certificates. They are read once for the process, because that takes a tenth of a second."""
    return httpx.create_ssl_context()


def check_url(url: str, *, local: bool) -> str:
    """Returns the URL when it may be called. The addresses of its name are checked when the connection is made.

    :param local: APP_ENV is local, so loopback hosts are allowed, also over http
    :raise AddressRefused: it may not be called
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise AddressRefused("this is not a URL") from error
    if not host or port == 0 or parts.username is not None or parts.password is not None:
        raise AddressRefused("the URL has no host, or credentials in it")
    if any(ord(character) <= 32 or ord(character) == 127 for character in url) or "\\" in url:
        raise AddressRefused("the URL has spaces, control characters or backslashes")
    loopback = is_loopback(host)
    if loopback and local and parts.scheme in ("http", "https"):
        return url
    if parts.scheme != "https" or loopback:
        raise AddressRefused("only public hosts over https are allowed")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return url
    if not is_public(literal):
        raise AddressRefused("the address is private")
    return url


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is a public one. An IPv4 address inside an IPv6 address is judged itself."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is None and address in NAT64:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(embedded)
        # ``is_global`` alone takes site-local, IPv4-compatible and local NAT64 addresses for public ones
        if address.teredo is not None or address not in GLOBAL_UNICAST or address in DOCUMENTATION:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class GuardedBackend(httpcore.SyncBackend):
    """Connects only to addresses that passed the check."""

    def __init__(self, *, local: bool) -> None:
        self._local = local

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolves the name, checks every address, then connects to the first that answers.

        :raise AddressRefused: one of the addresses is private
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name does not resolve") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            parsed = ipaddress.ip_address(address.partition("%")[0])
            if not (is_public(parsed) or (self._local and is_loopback(host) and parsed.is_loopback)):
                raise AddressRefused("the name leads to a private address")
        failure: httpcore.ConnectError | None = None
        for address in addresses:
            try:
                return self.connect_address(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError("the name has no address")

    def connect_address(
        self,
        address: str,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.NetworkStream:
        """Connects to one address that passed the check."""
        return super().connect_tcp(address, port, timeout, local_address, socket_options)


class GuardedTransport(httpx.HTTPTransport):
    """The transport of httpx over a guarded backend, without proxies and .netrc."""

    def __init__(self, backend: GuardedBackend) -> None:
        super().__init__(verify=tls(), trust_env=False)
        self._pool.close()
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls(),
            max_connections=LIMITS.max_connections,
            max_keepalive_connections=LIMITS.max_keepalive_connections,
            keepalive_expiry=LIMITS.keepalive_expiry,
            network_backend=backend,
        )


def guarded_client(
    *,
    local: bool,
    read_seconds: float = READ_SECONDS,
    backend: GuardedBackend | None = None,
    user_agent: str = USER_AGENT,
) -> httpx.Client:
    """An httpx client for outside systems: guarded addresses, deadlines, no redirects, no cookies.

    :param backend: instead of the usual one
    """
    return httpx.Client(
        transport=GuardedTransport(backend or GuardedBackend(local=local)),
        verify=tls(),
        timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS),
        headers={"User-Agent": user_agent},
        # a shared cookie jar would carry one person's session into another's call
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


@dataclass(frozen=True)
class Answer:
    """A complete answer. Names in ``headers`` are case-insensitive."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str

    @property
    def text(self) -> str:
        """The body as UTF-8. Bytes that cannot be decoded are replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON.

        :raise AnswerUnreadable: the body is not JSON
        """
        try:
            return jsonlib.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise AnswerUnreadable("the answer is not JSON") from error


class Http:
    """The outside calls of one process. Threads may share it. Make it after a fork."""

    def __init__(self, *, local: bool) -> None:
        self.local = local
        self._client = guarded_client(local=local)
        weakref.finalize(self, self._client.close)

    @classmethod
    def of(cls, settings: Settings) -> Http:
        """For these settings."""
        return cls(local=settings.is_local)

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | list[tuple[str, Any]] | None = None,
        data: Mapping[str, Any] | None = None,
        json: Any = None,
        total_seconds: float = TOTAL_SECONDS,
        read_seconds: float = READ_SECONDS,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Answer:
        """One call with its complete answer. Redirects are not followed.

        :param data: form fields
        :param total_seconds: from the first byte sent to the last one read, also when the answer comes slowly
        :raise OutboundError: the subclass says what went wrong
        """
        check_url(url, local=self.local)
        began = time.monotonic()
        timeout = httpx.Timeout(min(read_seconds, total_seconds), connect=min(CONNECT_SECONDS, total_seconds))
        with outbound_faults():
            request = self._client.build_request(
                method,
                url,
                headers=headers,
                params=params,
                data=data,
                json=json,
                timeout=timeout,
            )
            response = self._client.send(request, stream=True)
            try:
                content = bytearray()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > max_bytes:
                        raise AnswerTooLarge("the answer is too large")
                    if time.monotonic() - began > total_seconds:
                        raise DeadlineExceeded("the whole answer took too long")
            finally:
                response.close()
        return Answer(response.status_code, response.headers, bytes(content), str(response.url))


@contextmanager
def outbound_faults() -> Iterator[None]:
    """Turns errors of httpx into :class:`OutboundError`, without URLs, whose query may contain secrets."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise DeadlineExceeded(type(error).__name__) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise AddressRefused("this is not a URL") from error
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise Unreachable(type(error).__name__) from error

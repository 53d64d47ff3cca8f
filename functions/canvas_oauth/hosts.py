"""Which hosts people may propose as installations of Canvas, written in the one way that the database knows.

Staff decide about a proposal, so this only keeps out what can never be a school's Canvas: addresses in place of names,
names that lead to private addresses, and everything that is more than a host. Every later call checks the addresses
again at the moment of connecting (``shared/http.py``).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Sequence

from functions.canvas_oauth.errors import HostInvalid
from functions.shared.http import is_public
from functions.shared.settings import is_loopback

RESOLVE_SECONDS = 2.0  # a person waits, and a name server that is slow proves nothing
MAX_HOST_CHARACTERS = 253
MAX_PORT = 65535
HTTPS_PORT = 443
GIVEN = re.compile(r"(?P<host>[^\s/?#@\\:\[\]%]+)(?::(?P<port>[0-9]{1,5}))?")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# 127.1, 0x7f.1 and 2130706433 are addresses, too: a name never ends in a number
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

Resolve = Callable[[str], Sequence[str]]


def instance_domain(given: str, *, local: bool) -> str:
    """A host as ``lms_connections.instance_domain`` keeps it: lower case, punycode, no final dot, no usual port.

    :param given: ``host`` or ``host:port``
    :param local: APP_ENV is local, so loopback hosts are taken
    :raise HostInvalid: it is not the public name of a host
    """
    found = GIVEN.fullmatch(given.strip())
    if found is None:
        raise HostInvalid
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= MAX_PORT:
        raise HostInvalid
    host = _ascii(found["host"])
    if is_loopback(host):
        if not local:
            raise HostInvalid
        return host if port is None else f"{host}:{port}"
    labels = host.split(".")
    if len(host) > MAX_HOST_CHARACTERS or len(labels) < 2 or not all(map(LABEL.fullmatch, labels)):
        raise HostInvalid
    if NUMBER.fullmatch(labels[-1]):
        raise HostInvalid
    return host if port in (None, HTTPS_PORT) else f"{host}:{port}"


def check_addresses(domain: str, *, local: bool, resolve: Resolve | None = None) -> None:
    """Looks where the name of an :func:`instance_domain` leads now. A name that does not resolve is left to staff.

    :raise HostInvalid: one of its addresses is private
    """
    host = domain.partition(":")[0]
    is_local = local and is_loopback(host)
    for address in (resolve or resolved)(host):
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if not (is_public(parsed) or (is_local and parsed.is_loopback)):
            raise HostInvalid


def resolved(host: str) -> Sequence[str]:
    """The addresses of a name, none when there are none within ``RESOLVE_SECONDS``."""
    found: list[str] = []

    def look() -> None:
        try:
            entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.extend(str(entry[4][0]) for entry in entries)

    # getaddrinfo has no deadline of its own
    looking = threading.Thread(target=look, name="resolve", daemon=True)
    looking.start()
    looking.join(RESOLVE_SECONDS)
    return list(found)


def _ascii(host: str) -> str:
    """A name in lower case and punycode, without a final dot.

    :raise HostInvalid: it cannot be written so, or would be another name then
    """
    name = host.lower()
    name = name[:-1] if name.endswith(".") else name
    if name.isascii():
        return name
    try:
        encoded = name.encode("idna")
        # what does not come back is read differently by browsers (ß, for one), and would be somebody else's host
        if encoded.decode("idna") != name:
            raise HostInvalid
    except UnicodeError as error:
        raise HostInvalid from error
    return encoded.decode()

"""Which variables of the shell and of ``.env`` reach the stack and its programs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from dotenv import dotenv_values

from scripts.native import paths

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# what a local stack decides itself: a shell set up for production must not send local work there
OURS = frozenset({"APP_ENV", "JWT_ISSUER", "FUNCTIONS_URL", "ENCRYPTION_KEYS", "PORT"})
# the model's client is the only program part that knows proxies, and it cannot start with a SOCKS proxy
NO_PROXIES = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), "")
# addresses of front ends: a developer's own count, those of production do not
FRONT_ENDS = frozenset({"FRONTEND_URL", "REDIRECT_ALLOWLIST", "CORS_ORIGINS"})


def never_proxy_loopback() -> None:
    """Keeps calls to this machine away from any proxy, for this process and for all that it starts."""
    lists = (os.environ.get("no_proxy"), os.environ.get("NO_PROXY"))
    hosts = [host.strip() for text in lists if text for host in text.split(",")]
    merged = ",".join(dict.fromkeys([*filter(None, hosts), *LOOPBACK]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = merged


def dotenv() -> dict[str, str]:
    """The variables that ``.env`` sets; blank ones count as not set."""
    return {name: value for name, value in dotenv_values(paths.DOTENV).items() if value and value.strip()}


def may_count(name: str, value: str) -> bool:
    """Whether a variable of the shell or of ``.env`` counts for functions and worker of a local stack."""
    if name in FRONT_ENDS:
        return all(is_local(address) for address in value.split(","))
    return name not in OURS and not name.startswith("SUPABASE_")


def is_local(address: str) -> bool:
    """Whether a URL leads to this machine."""
    try:
        return urlsplit(address.strip()).hostname in LOOPBACK
    except ValueError:
        return False


def from_outside(with_dotenv: bool) -> dict[str, str]:
    """The variables of ``.env`` and, on top, of the shell that count for functions and worker."""
    found: Mapping[str, str] = {**(dotenv() if with_dotenv else {}), **os.environ}
    return {name: value for name, value in found.items() if may_count(name, value)}


def silenced(environment: dict[str, str]) -> dict[str, str]:
    """The environment with every other variable of ``.env`` set to nothing.

    Functions and worker read ``.env`` themselves, below their environment, and a blank value counts as not set.
    """
    return {**dict.fromkeys(dotenv(), ""), **environment}

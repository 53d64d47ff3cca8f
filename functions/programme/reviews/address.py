"""What an address of GitHub means: which repository, and which branch, tag or commit of it."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from functions.programme.reviews.errors import ReviewFailure, not_found

HOSTS = ("github.com", "www.github.com")
OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,98}[A-Za-z0-9])?")
NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
# what git allows in the name of a branch, without what would change the path of a request
REF = re.compile(r"(?!.*\.\.)[^\x00-\x20\x7f~^:?*\[\\@{}%#]{1,255}")
# a branch may have slashes in its name, and a folder may follow it
MAX_REFS = 5


class Address(NamedTuple):
    """A repository. ``refs`` are the names that may be meant, the shortest first; none means the default branch."""

    owner: str
    name: str
    refs: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """Its page, as the notes of a week name it."""
        return f"https://github.com/{self.owner}/{self.name}"


def read_address(url: str) -> Address:
    """Reads ``https://github.com/owner/name`` with what browsers and git put behind it.

    Understood are ``.git``, slashes at the end, queries, fragments, capital letters in the host, ``/tree/<ref>``,
    ``/blob/<ref>/<file>``, ``/commit/<sha>`` and ``/commits/<ref>``. Other pages of a repository mean its default
    branch.

    :raise ReviewFailure: ``repository_not_found``, it names no repository of GitHub
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _no_address() from error
    if parts.scheme.lower() != "https" or host not in HOSTS or port not in (None, 443):
        raise _no_address()
    if parts.username is not None or parts.password is not None:
        raise _no_address()
    steps = [unquote(step) for step in parts.path.split("/") if step]
    if len(steps) < 2:
        raise _no_address()
    owner, name = steps[0], steps[1].removesuffix(".git")
    if not OWNER.fullmatch(owner) or not NAME.fullmatch(name) or name in (".", ".."):
        raise _no_address()
    return Address(owner, name, _refs(steps[2:]))


def _refs(steps: list[str]) -> tuple[str, ...]:
    """What may be a name in ``tree/<ref>/<folder>``: a branch ``a`` excludes a branch ``a/b``, so the first fits."""
    if len(steps) < 2 or steps[0] not in ("tree", "blob", "commit", "commits"):
        return ()
    rest = steps[1:] if steps[0] != "commit" else steps[1:2]
    refs = tuple("/".join(rest[: length + 1]) for length in range(min(len(rest), MAX_REFS)))
    if not all(REF.fullmatch(ref) for ref in refs):
        raise not_found("The address names no branch or commit. Check it.")
    return refs


def _no_address() -> ReviewFailure:
    return not_found("The address is not that of a repository on GitHub. Check it.")

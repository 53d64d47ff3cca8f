"""Brings one commit of a public repository here, as GitHub's archive.

Two hosts are ever asked: that of GITHUB_API_URL, and the one that GitHub's archives come from. The token, if there is
one, goes to the first alone. It raises the limit of requests; it never makes a private repository readable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import structlog

from functions.programme.reviews.address import NAME, OWNER, Address
from functions.programme.reviews.errors import (
    ReviewFailure,
    empty,
    not_found,
    private,
    too_large,
    unavailable,
    unreadable,
)
from functions.shared.clock import Clock
from functions.shared.fetch import REDIRECTS, Fetcher
from functions.shared.http import Answer, AnswerTooLarge, Http, OutboundError
from functions.shared.settings import Settings, is_loopback

log = structlog.get_logger(__name__)

MIB = 1024 * 1024
MAX_PACKED_BYTES = 50 * MIB
MAX_ANSWER_BYTES = 2 * MIB
ARCHIVE_SECONDS = 180.0
# a longer wait puts the job off; a worker's slot is worth more
MAX_WAIT_SECONDS = 60.0
MAX_WAITS = 3
MAX_MOVES = 3
# GitHub asks for this pause when it says no more than that there were too many requests
UNNAMED_WAIT_SECONDS = 60.0
MAX_PUT_OFF_SECONDS = 24 * 3600.0
PUBLIC_API_HOST, PUBLIC_ARCHIVE_HOST = "api.github.com", "codeload.github.com"
SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
JSON, SHA_ONLY = "application/vnd.github+json", "application/vnd.github.sha"


class Commit(NamedTuple):
    """One commit of a repository, under the name that GitHub gives the repository now."""

    owner: str
    name: str
    sha: str


class GitHub:
    """The few calls that a review makes. ``check`` is called while it waits, and may end the wait by an exception."""

    def __init__(self, settings: Settings, http: Http, clock: Clock, check: Callable[[], None]) -> None:
        self._base = settings.github_api_url
        self._token = settings.github_token
        self._http = http
        self._fetcher = Fetcher.of(settings)
        self._clock = clock
        self._check = check

    def resolve(self, address: Address, sha: str | None = None) -> Commit:
        """The commit that an address means now.

        :param sha: the commit that an earlier attempt has chosen; it stays
        :raise ReviewFailure: there is no such repository or commit, it is private or empty, or GitHub does not answer
        """
        about = self._repository(address)
        owner, name = self._named(about, address)
        # whatever our token may read: a review is stored, and its owner may not be allowed to see the repository
        if about.get("private") is not False or about.get("visibility", "public") != "public":
            raise private()
        if sha is not None:
            return Commit(owner, name, sha)
        for ref in address.refs or (str(about.get("default_branch") or "HEAD"),):
            answer = self._get(f"/repos/{owner}/{name}/commits/{quote(ref, '', errors='replace')}", accept=SHA_ONLY)
            if answer.status == 409:
                raise empty()
            found = answer.text.strip() if answer.status == 200 else ""
            if SHA.fullmatch(found):
                return Commit(owner, name, found)
        raise not_found("The repository has no such branch or commit. Check the address.")

    def download(self, commit: Commit, path: Path) -> None:
        """Stores the archive of a commit (tar, packed by gzip) in a file.

        :raise ReviewFailure: it is too large or gone, or GitHub does not answer
        """
        url = f"/repos/{commit.owner}/{commit.name}/tarball/{commit.sha}"
        answer = self._get(url, accept=JSON, max_bytes=MAX_PACKED_BYTES)
        if answer.status in REDIRECTS and "location" in answer.headers:
            self._fetch(target_of(answer), path)
        elif answer.status == 200:
            path.write_bytes(answer.content)
        else:
            raise not_found()

    def _fetch(self, url: str, path: Path) -> None:
        """Reads the archive from the host that the API named, without the token."""
        if not is_archive_host(self._base, url):
            log.warning("archive_host_refused", host=(urlsplit(url).hostname or "")[:200])
            raise unreadable("The archive is kept at a host that is not GitHub's.")
        hosts = [urlsplit(url).netloc]
        try:
            with self._fetcher.get(
                url, max_bytes=MAX_PACKED_BYTES, total_seconds=ARCHIVE_SECONDS, hosts=hosts
            ) as fetched:
                if fetched.status == 404:
                    raise not_found()
                if fetched.status != 200:
                    raise unavailable(_wait_of(fetched.headers, self._clock))
                with path.open("wb") as file:
                    for chunk in fetched.chunks():
                        self._check()
                        file.write(chunk)
        except OutboundError as error:
            log.warning("archive_not_read", error_code=error.code)
            raise failure_of(error, MAX_PACKED_BYTES) from error

    def _repository(self, address: Address) -> Mapping[str, Any]:
        url = f"/repos/{address.owner}/{address.name}"
        for _ in range(MAX_MOVES + 1):
            answer = self._get(url, accept=JSON)
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                break
            # a repository that was renamed or given away
            url = target_of(answer)
            if not url:
                raise unavailable()
        if answer.status != 200:
            raise not_found()
        try:
            about = answer.json()
        except OutboundError as error:
            raise unavailable() from error
        if not isinstance(about, dict):
            raise unavailable()
        return about

    def _named(self, about: Mapping[str, Any], address: Address) -> tuple[str, str]:
        """Owner and name as GitHub has them now; what does not look like them is not put into an address."""
        owner, _, name = str(about.get("full_name") or "").partition("/")
        is_name = OWNER.fullmatch(owner) and NAME.fullmatch(name) and name not in (".", "..")
        return (owner, name) if is_name else (address.owner, address.name)

    def _get(self, path: str, *, accept: str, max_bytes: int = MAX_ANSWER_BYTES) -> Answer:
        """One answer that says something about the repository. Short limits are waited for.

        :raise ReviewFailure: GitHub does not answer, or only later
        """
        url = path if path.startswith("http") else f"{self._base}{path}"
        if not _same_origin(url, self._base):
            raise not_found()
        for _ in range(MAX_WAITS + 1):
            answer = self._ask(url, accept, max_bytes)
            if answer.status == 401 and self._token:
                # a token that has run out: public repositories can be read without it
                log.error("github_token_refused")
                self._token = None
                continue
            wait = limit_wait(answer, self._clock)
            if wait is None:
                if answer.status >= 500:
                    raise unavailable()
                return answer
            if wait > MAX_WAIT_SECONDS:
                raise unavailable(min(wait, MAX_PUT_OFF_SECONDS))
            self._wait(wait)
        raise unavailable(UNNAMED_WAIT_SECONDS)

    def _ask(self, url: str, accept: str, max_bytes: int) -> Answer:
        headers = {"Accept": accept, "X-GitHub-Api-Version": "2022-11-28"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        self._check()
        try:
            return self._http.request("GET", url, headers=headers, max_bytes=max_bytes, total_seconds=ARCHIVE_SECONDS)
        except OutboundError as error:
            log.warning("github_unreachable", error_code=error.code)
            raise failure_of(error, max_bytes) from error

    def _wait(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0:
            self._check()
            self._clock.sleep(min(left, 0.5))


def failure_of(error: OutboundError, max_bytes: int) -> ReviewFailure:
    """What a call that brought no answer means for the review: an archive that is too large says so."""
    if isinstance(error, AnswerTooLarge) and max_bytes == MAX_PACKED_BYTES:
        return too_large(f"The archive is larger than {MAX_PACKED_BYTES // MIB} MiB.")
    return unavailable()


def target_of(answer: Answer) -> str:
    """Where a redirect leads; empty when that is no address."""
    try:
        url = urljoin(answer.url, str(answer.headers.get("location", "")))
        # read here, because it is read when the address is compared
        urlsplit(url)
    except ValueError:
        return ""
    return url


def limit_wait(answer: Answer, clock: Clock) -> float | None:
    """Seconds until GitHub accepts requests again; None when the answer is about something else than a limit."""
    if answer.status not in (403, 429):
        return None
    is_used_up = answer.headers.get("x-ratelimit-remaining") == "0"
    if answer.status == 403 and not is_used_up and "retry-after" not in answer.headers:
        return UNNAMED_WAIT_SECONDS + 1 if b"rate limit" in answer.content.lower() else None
    return _wait_of(answer.headers, clock)


def _wait_of(headers: Mapping[str, str], clock: Clock) -> float:
    """What Retry-After or the reset of the limit says, at least one second."""
    after = headers.get("retry-after", "")
    if after.isascii() and after.isdigit():
        return max(1.0, float(after[:6]))
    reset = headers.get("x-ratelimit-reset", "")
    if reset.isascii() and reset.isdigit() and headers.get("x-ratelimit-remaining") == "0":
        return max(1.0, float(reset[:12]) - clock.now().timestamp() + 1)
    return UNNAMED_WAIT_SECONDS + 1


def is_archive_host(api_url: str, url: str) -> bool:
    """Whether archives of this API may come from the host of a URL.

    GitHub's come from codeload.github.com, those of an own installation from itself or ``codeload.`` in front of it.
    A stand-in on a loopback host may keep them at another loopback port.
    """
    try:
        api, found = urlsplit(api_url), urlsplit(url)
        host, port, wanted = found.hostname, found.port, api.hostname or ""
    except ValueError:
        return False
    if host is None or found.username is not None:
        return False
    if is_loopback(wanted):
        return is_loopback(host)
    if found.scheme != "https" or port not in (None, 443, api.port):
        return False
    return host in ((PUBLIC_ARCHIVE_HOST,) if wanted == PUBLIC_API_HOST else (wanted, f"codeload.{wanted}"))


def _same_origin(url: str, base: str) -> bool:
    found, wanted = urlsplit(url), urlsplit(base)
    return (found.scheme, found.netloc.lower()) == (wanted.scheme, wanted.netloc.lower())

"""Brings a recording to disk: streamed, limited, resumed after a broken connection, and only if it is media."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import structlog

from functions.lectures import errors
from functions.lectures.errors import LectureFailure
from functions.lectures.panopto import Panopto
from functions.lectures.work import Work
from functions.shared.fetch import Fetched, Fetcher
from functions.shared.http import AddressRefused, AnswerTooLarge, OutboundError
from functions.shared.retries import Backoff

log = structlog.get_logger(__name__)

MAX_FAILURES_IN_A_ROW = 5
BACKOFF = Backoff(first_seconds=0.5, max_seconds=8.0)
SNIFFED_BYTES = 512
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
NO_ANSWER = "Panopto does not answer. Try again later."


class NotThere(Exception):
    """The address gives no media to us; ``failure`` is what it says about the recording."""

    def __init__(self, failure: LectureFailure) -> None:
        super().__init__(failure.code)
        self.failure = failure


class Broken(Exception):
    """The connection broke, or the server failed for a moment."""


def bring(work: Work, path: Path) -> str | None:
    """Writes the media to a path: from the podcast link, else from what DeliveryInfo offers. Panopto's title, if asked.

    :raise LectureFailure: the recording cannot be had, is too large, or Panopto does not answer
    """
    deadline = work.context.clock.monotonic() + work.context.settings.lecture_download_timeout_seconds
    try:
        Download(work, work.row["stream_url"], path, deadline).run()
        return None
    except NotThere as error:
        # the link is closed or missing; the viewer may know another one
        log.info("no_podcast_link", lecture_id=work.lecture_id, error_code=error.failure.code)
    delivery = Panopto(work.context.http, work.row["stream_url"], work.row["panopto_session_id"]).delivery()
    refused: LectureFailure | None = None
    for url in delivery.media_urls:
        try:
            Download(work, url, path, deadline).run()
            return delivery.title
        except NotThere as error:
            refused = refused or error.failure
    raise refused or errors.unreadable(
        "Panopto offers this recording only for watching. Ask the lecturer to allow podcasts."
    )


@dataclass
class Download:
    """One address, fetched into one file."""

    work: Work
    url: str
    path: Path
    deadline: float
    have: int = 0
    total: int | None = None
    etag: str | None = None

    def run(self) -> None:
        """Fetches all of it. After a broken connection it asks the same address for the rest.

        :raise NotThere: the address gives no media to us
        :raise LectureFailure: too large, too slow, or broken too often
        """
        self.path.unlink(missing_ok=True)
        failures = 0
        while True:
            before = self.have
            try:
                self._fetch_rest()
                return
            except Broken as error:
                failures = 1 if self.have > before else failures + 1
                left = self.deadline - self.work.context.clock.monotonic()
                log.info("download_broke_off", have=self.have, total=self.total, failures=failures)
                if failures >= MAX_FAILURES_IN_A_ROW or left <= 0:
                    raise errors.unavailable(NO_ANSWER) from error
                self.work.check()
                self.work.context.clock.sleep(min(BACKOFF.seconds(failures), left))

    def _fetch_rest(self) -> None:
        settings, clock = self.work.context.settings, self.work.context.clock
        # with a range, nobody compresses, so that sizes are those of the file
        headers = {"Range": f"bytes={self.have}-"}
        if self.have and self.etag:
            headers["If-Range"] = self.etag
        try:
            with Fetcher.of(settings).get(
                self.url,
                headers=headers,
                max_bytes=max(1, settings.lecture_max_bytes - self.have),
                total_seconds=max(0.05, self.deadline - clock.monotonic()),
            ) as answer:
                self._take_headers(answer)
                self._take_bytes(answer)
        except AnswerTooLarge as error:
            raise errors.too_long(
                f"The recording has more than {settings.lecture_max_bytes // 1024**2} MiB."
            ) from error
        except AddressRefused as error:
            log.warning("media_address_refused", lecture_id=self.work.lecture_id)
            raise NotThere(errors.gone()) from error
        except OutboundError as error:
            raise Broken from error
        if self.total is not None and self.have < self.total:
            raise Broken

    def _take_headers(self, answer: Fetched) -> None:
        """Learns size and version, and whether the answer goes on where we are.

        :raise NotThere: the answer is a refusal
        """
        status = answer.status
        if self.have and status in (401, 403, 404, 410):
            # a signed address that has expired; the next attempt gets another one
            raise errors.unavailable(NO_ANSWER)
        if status in (401, 403):
            raise NotThere(errors.login_required())
        if status in (404, 410):
            raise NotThere(errors.gone())
        if status == 416 and not self.have:
            raise NotThere(errors.unreadable("The recording is empty."))
        if status == 416 or (status == 206 and not self._continues(answer)):
            # another version than the one that was begun
            self._restart()
            raise Broken
        if status not in (200, 206):
            raise Broken
        if status == 200:
            self._restart()
            length = answer.headers.get("Content-Length", "")
            self.total = int(length) if length.isdigit() else None
        if not self.have:
            etag = answer.headers.get("ETag", "")
            self.etag = etag if etag and not etag.startswith("W/") else None

    def _continues(self, answer: Fetched) -> bool:
        found = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != self.have or self.total not in (None, int(found[2])):
            return False
        if self.etag is not None and answer.headers.get("ETag", self.etag) != self.etag:
            return False
        self.total = int(found[2])
        return True

    def _restart(self) -> None:
        self.have, self.total, self.etag = 0, None, None
        self.path.unlink(missing_ok=True)

    def _take_bytes(self, answer: Fetched) -> None:
        with self.path.open("ab") as file:
            for piece in answer.chunks():
                if not self.have and is_page(answer.headers.get("Content-Type", ""), piece[:SNIFFED_BYTES]):
                    # the page for signing in has status 200
                    raise NotThere(errors.login_required())
                file.write(piece)
                self.have += len(piece)
                self.work.show("downloading", self.have, self.total)


def is_page(content_type: str, first: bytes) -> bool:
    """Whether an answer is a page, a playlist or other text, by its type and its first bytes."""
    kind = content_type.partition(";")[0].strip().lower()
    if first[4:8] == b"ftyp":
        return False
    return (
        kind.startswith("text/")
        or kind in ("application/json", "application/xhtml+xml", "application/xml")
        or (first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"<", b"{", b"#"))
    )

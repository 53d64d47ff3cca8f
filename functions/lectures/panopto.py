"""What Panopto says about a recording without a sign-in: where its media are, its title, its captions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog

from functions.lectures import errors
from functions.shared.captions import CaptionsUnreadable, Segment, read_captions
from functions.shared.http import AddressRefused, Answer, AnswerUnreadable, Http, OutboundError

log = structlog.get_logger(__name__)

LOGIN_NEEDED = 2  # Panopto's own ErrorCode
MAX_ANSWER_BYTES = 10 * 1024 * 1024
MAX_CAPTIONS_BYTES = 20 * 1024 * 1024
PLAYLISTS = (".m3u8", ".mpd", ".ism/manifest")


@dataclass(frozen=True)
class Delivery:
    """What DeliveryInfo offers. ``media_urls`` are files, the best first; ``languages`` are those of captions."""

    title: str | None
    media_urls: tuple[str, ...]
    languages: tuple[str, ...]


class Panopto:
    """One site of Panopto, asked without cookies or tokens.

    :param stream_url: any address of the site that we made
    """

    def __init__(self, http: Http, stream_url: str, session_id: str) -> None:
        parts = urlsplit(stream_url)
        self._base = f"{parts.scheme}://{parts.netloc}/Panopto/Pages"
        self._http = http
        self._session_id = session_id

    def delivery(self) -> Delivery:
        """What the viewer would be told.

        :raise LectureFailure: a sign-in is needed, the recording is gone, or Panopto does not answer
        """
        form = {"deliveryId": self._session_id, "responseType": "json", "isEmbed": "true"}
        answer = self._ask("POST", f"{self._base}/Viewer/DeliveryInfo.aspx", MAX_ANSWER_BYTES, data=form)
        try:
            said = answer.json()
        except AnswerUnreadable as error:
            # the page for signing in, with status 200
            raise errors.login_required() from error
        if not isinstance(said, Mapping):
            raise errors.gone()
        if said.get("ErrorCode") == LOGIN_NEEDED:
            raise errors.login_required()
        delivery = said.get("Delivery")
        if said.get("ErrorCode") or not isinstance(delivery, Mapping):
            raise errors.gone()
        title = delivery.get("SessionName")
        return Delivery(
            title=title if isinstance(title, str) else None,
            media_urls=tuple(dict.fromkeys(_files(delivery.get("PodcastStreams")) + _files(delivery.get("Streams")))),
            languages=_languages(delivery),
        )

    def captions(self, language: str) -> list[Segment]:
        """The captions of the recording; empty when they cannot be read."""
        url = f"{self._base}/Transcription/GenerateSRT.ashx"
        params = {"id": self._session_id, "language": language}
        try:
            return read_captions(self._ask("GET", url, MAX_CAPTIONS_BYTES, params=params).text)
        except (errors.LectureFailure, CaptionsUnreadable) as error:
            log.info("captions_not_read", error=type(error).__name__)
            return []

    def _ask(self, method: str, url: str, max_bytes: int, **body: Any) -> Answer:
        try:
            answer = self._http.request(method, url, max_bytes=max_bytes, **body)
        except AddressRefused as error:
            raise errors.gone() from error
        except OutboundError as error:
            raise errors.unavailable("Panopto does not answer. Try again later.") from error
        if answer.status in (301, 302, 303, 307, 401, 403):
            raise errors.login_required()
        if answer.status in (404, 410):
            raise errors.gone()
        if answer.status != 200:
            raise errors.unavailable("Panopto does not answer. Try again later.")
        return answer


def _files(streams: Any) -> list[str]:
    """The addresses of streams that are one file. FFmpeg is never given a playlist."""
    urls = [stream.get("StreamUrl") for stream in streams if isinstance(stream, Mapping)] if streams else []
    return [url for url in urls if isinstance(url, str) and not urlsplit(url).path.lower().endswith(PLAYLISTS)]


def _languages(delivery: Mapping[str, Any]) -> tuple[str, ...]:
    """Panopto's numbers of the languages that captions exist in."""
    listed: list[Any] = []
    for name in ("AvailableCaptions", "AvailableLanguages"):
        found = delivery.get(name)
        listed += found if isinstance(found, list) else []
    numbers = [entry.get("Language") if isinstance(entry, Mapping) else entry for entry in listed]
    return tuple(dict.fromkeys(str(number) for number in numbers if isinstance(number, int | str)))

"""What is said in a sound file, with its times, over an OpenAI-compatible API.

Servers differ in what they can say about times. The first of these that a server answers is remembered: segments as
JSON, SRT, WebVTT, and text without times. For the last one, callers send short windows cut at pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from functions.shared.captions import CaptionsUnreadable, Segment, read_captions, tidy
from functions.shared.llm import errors
from functions.shared.llm.client import connections, library
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.usage import Used
from functions.shared.llm.whole_calls import answered
from functions.shared.settings import Settings

log = structlog.get_logger(__name__)

FORMS = ("verbose_json", "srt", "vtt", "json")
TEXT_ONLY = len(FORMS) - 1
# longer windows of text alone would not tell where something was said
MAX_WINDOW_SECONDS = 45.0
# what Whisper reports of a segment that it made up from silence or noise
MAX_NO_SPEECH, MIN_LOGPROB = 0.6, -1.0

# by server and model: the index of the form that works
_forms: dict[tuple[str, str], int] = {}


class Heard(NamedTuple):
    """Segments in seconds from the beginning of the file. ``language`` is what the server calls it, if it does."""

    segments: list[Segment]
    language: str | None


class TimesUnknown(Exception):
    """The model gives text without times. Send windows of at most ``MAX_WINDOW_SECONDS``."""


@dataclass
class Transcriber:
    """Calls a transcription model.

    :param ledger: where the calls are recorded
    :param check: called several times a second while an answer is awaited; an exception ends the call
    """

    settings: Settings
    ledger: Ledger
    check: Callable[[], None]

    @property
    def model(self) -> str:
        """The model's name, from the settings; empty when none is configured."""
        return self.settings.openai_transcription_model or ""

    @property
    def knows_times(self) -> bool:
        """Whether the model is believed to give times. A first call may show that it does not."""
        return _forms.get(self._server, 0) < TEXT_ONLY

    @property
    def _server(self) -> tuple[str, str]:
        return self.settings.openai_base_url or "", self.model

    def hear(
        self, sound: Path, seconds: float, span: tuple[float, float] | None = None, *, needs_times: bool = True
    ) -> Heard:
        """Transcribes one file.

        :param seconds: its length
        :param span: where it is not silent, for models that give no times
        :param needs_times: False for a file whose text alone counts, of whatever length
        :raise TimesUnknown: the model gives no times, and the file is longer than a window
        :raise ModelError: see errors.py
        """
        if not (self.settings.openai_api_key or self.settings.openai_base_url):
            raise errors.ProviderAuth("No model is configured. An operator must set OPENAI_API_KEY or OPENAI_BASE_URL.")
        if not self.model:
            sentence = "No transcription model is configured. An operator must set OPENAI_TRANSCRIPTION_MODEL."
            raise errors.ModelNotFound(sentence)
        form = _forms.get(self._server, 0)
        while True:
            if needs_times and form == TEXT_ONLY and seconds > MAX_WINDOW_SECONDS + 1:
                raise TimesUnknown
            try:
                heard = self._read(self._recorded(sound, FORMS[form], seconds), FORMS[form], seconds, span)
            except errors.FormatUnsupported:
                heard = None
            if heard is not None:
                _forms[self._server] = form
                return heard
            if form == TEXT_ONLY:
                raise errors.FormatUnsupported()
            form += 1
            log.info("transcription_form_refused", next_form=FORMS[form])
            _forms[self._server] = form

    def _read(self, answer: Any, form: str, seconds: float, span: tuple[float, float] | None) -> Heard | None:
        """What an answer says; None when the server ignored the form that was asked for."""
        if form in ("srt", "vtt"):
            if not isinstance(answer, str) or "-->" not in answer:
                # silence, or an object of a server that knows no files
                return Heard([], None) if isinstance(answer, str) and answer.strip() in ("", "WEBVTT") else None
            try:
                return Heard(tidy(read_captions(answer), until=seconds), None)
            except CaptionsUnreadable as error:
                raise errors.InvalidResponse() from error
        text = getattr(answer, "text", None)
        if not isinstance(text, str):
            # a page instead of an answer
            raise errors.InvalidResponse()
        language = getattr(answer, "language", None)
        language = language if isinstance(language, str) else None
        segments = getattr(answer, "segments", None)
        if isinstance(segments, list) and segments:
            timed = [_segment(part) for part in segments]
            return Heard(tidy([part for part in timed if part is not None], until=seconds), language)
        if not text.strip():
            return Heard([], language)
        if form == "json":
            start, end = span or (0.0, seconds)
            return Heard(tidy([Segment(start, end, text)], until=seconds), language)
        return None

    def _recorded(self, sound: Path, form: str, seconds: float) -> Any:
        """One call, on record before it is sent."""
        audio = Decimal(str(round(seconds, 3)))
        with self.ledger.call(self.model, Used(audio_seconds=audio)) as entry:
            try:
                answer = self._call(sound, form)
            except errors.ModelError as error:
                if not isinstance(error, errors.DeadlineExceeded | errors.Interrupted):
                    entry.refuse()
                raise
            entry.used = Used.reported(getattr(answer, "usage", None), audio)
        return answer

    def _call(self, sound: Path, form: str) -> Any:
        seconds = self.settings.model_deadline_seconds
        return answered(lambda: self._send(sound, form), clock=self.ledger.clock, seconds=seconds, check=self.check)

    def _send(self, sound: Path, form: str) -> Any:
        left = self.settings.model_deadline_seconds
        options: dict[str, Any] = {"model": self.model, "response_format": form}
        if form == "verbose_json":
            options["timestamp_granularities"] = ["segment"]
        # nothing is sent before the whole file was heard, so the pause between bytes is the whole call
        timeout = library().Timeout(left, connect=min(self.settings.model_connect_timeout_seconds, left))
        client = connections(self.settings.openai_base_url, self.settings.openai_api_key)
        with sound.open("rb") as file:
            return client.audio.transcriptions.create(
                file=("lecture.m4a", file, "audio/mp4"), **options, timeout=timeout
            )


def _segment(part: Any) -> Segment | None:
    """A segment of an answer, whose fields the library does not check; None for silence that was given words."""
    read: Callable[[str], Any] = part.get if isinstance(part, Mapping) else lambda name: getattr(part, name, None)
    start, end, text = read("start"), read("end"), read("text")
    if not isinstance(start, int | float) or not isinstance(end, int | float) or not isinstance(text, str):
        raise errors.InvalidResponse()
    silence, logprob = read("no_speech_prob"), read("avg_logprob")
    numbers = isinstance(silence, int | float) and isinstance(logprob, int | float)
    if numbers and silence > MAX_NO_SPEECH and logprob < MIN_LOGPROB:
        return None
    return Segment(float(start), float(end), text)

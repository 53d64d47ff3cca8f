"""From a lecture's sound to its segments: captions of Panopto, else a model that hears it piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from functions.lectures import errors
from functions.lectures.errors import LectureFailure
from functions.lectures.panopto import Panopto
from functions.lectures.work import Work
from functions.shared import audio
from functions.shared.captions import Segment, tidy
from functions.shared.children import ChildError, run_in_child
from functions.shared.llm.errors import DeadlineExceeded, InvalidResponse, ModelError, QuotaExceeded
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.transcription import MAX_WINDOW_SECONDS, Heard, TimesUnknown, Transcriber
from functions.shared.retries import Backoff, retried

log = structlog.get_logger(__name__)

CUT_SECONDS = 1800.0
CUT_MEMORY_BYTES = 2 * 1024**3
MAX_ATTEMPTS = 3
BACKOFF = Backoff(first_seconds=1.0, max_seconds=4.0)
# a longer Retry-After is left to the queue
MAX_PAUSE_SECONDS = 10.0
# a segment this close to the end of a piece may be half of one
EDGE_SECONDS = 0.3


class Transcript(NamedTuple):
    """What was said. ``language`` is the server's own word for it; ``title`` is Panopto's."""

    segments: list[Segment]
    language: str | None
    title: str | None


def transcribe(work: Work, sound: Path, folder: Path) -> Transcript:
    """The segments of a lecture, from captions where Panopto has some and PANOPTO_CAPTIONS is on.

    :raise LectureFailure: the provider or the model failed
    """
    title: str | None = None
    if work.context.settings.panopto_captions:
        title, segments = _panopto_captions(work)
        if segments:
            return Transcript(segments, None, title)
    ledger = Ledger.of_job(work.context, "transcription")
    transcriber = Transcriber(work.context.settings, ledger, work.check)
    try:
        heard = _hear_all(work, transcriber, sound, folder)
    except TimesUnknown:
        # the first call showed that this model gives no times: again, in short windows
        heard = _hear_all(work, transcriber, sound, folder)
    return Transcript(heard.segments, heard.language, title)


def _panopto_captions(work: Work) -> tuple[str | None, list[Segment]]:
    panopto = Panopto(work.context.http, work.row["stream_url"], work.row["panopto_session_id"])
    try:
        delivery = panopto.delivery()
    except LectureFailure as failure:
        # a podcast may be open where the viewer is not
        log.info("delivery_not_read", error_code=failure.code)
        return None, []
    segments = panopto.captions(delivery.languages[0]) if delivery.languages else []
    return delivery.title, tidy(segments, until=float(work.row["duration_seconds"]))


def _hear_all(work: Work, transcriber: Transcriber, sound: Path, folder: Path) -> Heard:
    """Hears every piece that no earlier attempt has heard, and joins them."""
    timed = transcriber.knows_times
    seconds = work.context.settings.transcription_piece_seconds
    length = seconds if timed else min(seconds, MAX_WINDOW_SECONDS)
    known = {(row["start_ms"], row["end_ms"]): row["result"] for row in work.pieces(transcriber.model)}
    pieces = _cut(work, sound, folder, length, timed, list(known))
    languages: list[str] = []
    heard: list[list[Segment]] = []
    for number, piece in enumerate(pieces):
        work.show("transcribing", number, len(pieces))
        result = known.get((piece["start"], piece["end"]))
        if result is None and piece["path"] is not None:
            result = _hear(work, transcriber, piece)
        result = result or {"language": None, "segments": []}
        languages += [result["language"]] if result["language"] else []
        heard.append([Segment(part["start"], part["end"], part["text"]) for part in result["segments"]])
    work.show("transcribing", len(pieces), len(pieces))
    return Heard(joined(pieces, heard), max(languages, key=languages.count) if languages else None)


def _cut(
    work: Work, sound: Path, folder: Path, length: float, timed: bool, have: list[tuple[int, int]]
) -> list[dict[str, Any]]:
    args = [str(sound), str(folder), length, timed, [list(span) for span in have]]
    seconds = min(CUT_SECONDS, max(1.0, work.context.remaining_seconds()))
    try:
        return list(run_in_child(audio.cut, args, seconds=seconds, max_memory_bytes=CUT_MEMORY_BYTES, check=work.check))
    except ChildError as error:
        log.warning("cutting_failed", lecture_id=work.lecture_id, error=str(error)[:200])
        raise LectureFailure("media_unreadable", "The sound could not be cut into pieces.", retryable=True) from error


def _hear(work: Work, transcriber: Transcriber, piece: Mapping[str, Any]) -> dict[str, Any]:
    """Sends one piece and keeps what was heard."""
    begin, end = piece["start"] / 1000, piece["end"] / 1000
    span = (piece["sound_start"] / 1000 - begin, piece["sound_end"] / 1000 - begin)

    def pause(error: ModelError, failures: int) -> float | None:
        wait = max(BACKOFF.seconds(failures), error.retry_after or 0)
        return wait if error.is_repeatable and failures < MAX_ATTEMPTS and wait <= MAX_PAUSE_SECONDS else None

    try:
        heard = retried(
            lambda: transcriber.hear(Path(piece["path"]), end - begin, span),
            on=ModelError,
            pause=pause,
            sleep=work.context.clock.sleep,
        )
    except ModelError as error:
        raise _model_failure(error) from error
    result = {
        "language": heard.language,
        "segments": [
            {"start": round(part.start + begin, 3), "end": round(part.end + begin, 3), "text": part.text}
            for part in heard.segments
        ],
    }
    stored = work.call(
        "svc_store_lecture_piece",
        start_ms=piece["start"],
        end_ms=piece["end"],
        model=transcriber.model,
        result=result,
    )
    if not stored:
        work.check()
    return result


def _model_failure(error: ModelError) -> LectureFailure:
    if error.is_repeatable or isinstance(error, DeadlineExceeded):
        return errors.unavailable("The transcription service does not answer. Try again later.", error.retry_after)
    if isinstance(error, QuotaExceeded):
        return LectureFailure("provider_unavailable", "The transcription service takes no more work for now.")
    sentence = "The recording could not be transcribed. Ask an administrator."
    return LectureFailure("transcription_failed", sentence, retryable=isinstance(error, InvalidResponse))


def joined(pieces: Sequence[Mapping[str, Any]], heard: Sequence[Sequence[Segment]]) -> list[Segment]:
    """The segments of all pieces in one row. What two pieces both heard, where they overlap, is there once.

    :param pieces: with ``start`` and ``end`` in milliseconds
    :param heard: the segments of each, in seconds of the lecture
    """
    kept: list[Segment] = []
    for number, piece in enumerate(pieces):
        begin, end = piece["start"] / 1000, piece["end"] / 1000
        after = pieces[number + 1]["start"] / 1000 if number + 1 < len(pieces) else end
        overlaps_before = number > 0 and pieces[number - 1]["end"] / 1000 > begin
        for segment in heard[number]:
            if after < end and segment.end > end - EDGE_SECONDS and segment.start >= after + EDGE_SECONDS:
                # cut off here; the next piece heard all of it
                continue
            last = kept[-1].end if kept else 0.0
            if overlaps_before and segment.start < last - 0.05:
                is_cut = segment.start < begin + EDGE_SECONDS
                middle = (segment.start + segment.end) / 2
                if segment.end <= last + EDGE_SECONDS or (middle < last and not is_cut):
                    # the piece before heard it
                    continue
                segment = segment._replace(start=last)
            kept.append(segment)
    return tidy(kept)

"""The handlers of ``lecture_download``, ``lecture_transcription`` and ``lecture_ingest``.

Their payload is ``{"lecture_id": ...}``. Each may run twice, and its worker may be killed at any line. A stage uploads
its files, then names them in the row and enqueues the next stage in one transaction. Until then the next attempt does
the stage again; afterwards nobody does.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from functions.lectures import errors
from functions.lectures.download import bring
from functions.lectures.errors import LectureFailure
from functions.lectures.transcribing import transcribe
from functions.lectures.work import LectureGone, Work, run_stage
from functions.shared import audio
from functions.shared.captions import Segment, write_webvtt
from functions.shared.children import ChildError, run_in_child
from functions.shared.chunks import chunk_segments, detect_language, replace_chunks
from functions.shared.errors import AppError, NotFound, Unavailable
from functions.shared.folders import work_folder
from functions.shared.jobs import HandlerRegistry
from functions.shared.storage import ObjectMissing

log = structlog.get_logger(__name__)

ENCODE_SECONDS = 3600.0
ENCODE_MEMORY_BYTES = 2 * 1024**3
MAX_TRANSCRIPT_BYTES = 64 * 1024 * 1024


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("lecture_download", lambda context: run_stage(context, "download", download))
    registry.add("lecture_transcription", lambda context: run_stage(context, "transcription", transcription))
    registry.add("lecture_ingest", lambda context: run_stage(context, "ingest", ingest))


def download(work: Work) -> Mapping[str, Any]:
    """Brings the recording here and stores its sound."""
    with work_folder("lecture") as folder:
        media, sound = folder / "media", folder / "sound.m4a"
        title = bring(work, media)
        seconds = _encode(work, media, sound)
        media.unlink()
        key = f"audio/{work.lecture_id}.m4a"
        work.upload(key, sound, "audio/mp4")
        outcome = work.call(
            "svc_store_lecture_audio", storage_key=key, duration_seconds=math.ceil(seconds), title=title
        )
        if outcome == "over_quota":
            raise LectureFailure("plan_limit_reached", "The plan's minutes of lectures are used up for this month.")
        work.stored(outcome, key)
    return {"status": "downloaded", "duration_seconds": math.ceil(seconds)}


def _encode(work: Work, media: Path, sound: Path) -> float:
    work.show("encoding", 0)
    most = work.context.settings.lecture_max_seconds
    seconds = min(ENCODE_SECONDS, max(1.0, work.context.remaining_seconds()))
    try:
        outcome = run_in_child(
            audio.encode,
            [str(media), str(sound), most],
            seconds=seconds,
            max_memory_bytes=ENCODE_MEMORY_BYTES,
            check=work.check,
        )
    except ChildError as error:
        log.warning("encoding_failed", lecture_id=work.lecture_id, error=str(error)[:200])
        raise errors.unreadable("The recording could not be read.") from error
    match outcome["status"]:
        case "ok":
            return float(outcome["seconds"])
        case "too_long":
            raise errors.too_long(f"The recording is longer than {most // 60} minutes.")
        case _:
            raise errors.unreadable()


def transcription(work: Work) -> Mapping[str, Any]:
    """Stores what is said in the lecture, as JSON and as WebVTT."""
    with work_folder("lecture") as folder:
        work.show("transcribing", 0)
        sound = folder / "sound.m4a"
        _fetch_stored(work, work.row["audio_storage_key"], sound)
        transcript = transcribe(work, sound, folder)
    spoken = " ".join(segment.text for segment in transcript.segments[:200])
    payload = {
        "language": detect_language(spoken) or transcript.language,
        "duration_seconds": work.row["duration_seconds"],
        "segments": [segment._asdict() for segment in transcript.segments],
    }
    keys = f"transcripts/{work.lecture_id}.json", f"transcripts/{work.lecture_id}.vtt"
    written = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    work.upload(keys[0], io.BytesIO(written), "application/json")
    work.upload(keys[1], io.BytesIO(write_webvtt(transcript.segments).encode()), "text/vtt")
    outcome = work.call(
        "svc_store_lecture_transcript", transcript_key=keys[0], captions_key=keys[1], title=transcript.title
    )
    work.stored(outcome, *keys)
    return {"status": "transcribed", "segments": len(transcript.segments)}


def ingest(work: Work) -> Mapping[str, Any]:
    """Makes the transcript searchable and completes the lecture."""
    with work_folder("lecture") as folder:
        work.show("indexing", 0)
        file = folder / "transcript.json"
        _fetch_stored(work, work.row["transcript_storage_key"], file, MAX_TRANSCRIPT_BYTES)
        payload = json.loads(file.read_text())
    segments = [Segment(part["start"], part["end"], part["text"]) for part in payload["segments"]]
    language = payload["language"] if len(payload["language"] or "") == 2 else None
    chunks = chunk_segments(segments, language)
    state = "ready" if chunks else "none"
    try:
        replace_chunks(work.context.database.service(), "lecture", work.lecture_id, chunks)
    except NotFound as error:
        raise LectureGone from error
    except Unavailable:
        raise
    except AppError as error:
        # the transcript is there; only the search does not find it
        log.error("lecture_not_indexed", lecture_id=work.lecture_id, error_code=error.code)
        state = "failed"
    work.call("svc_end_lecture", ingest_status=state, language=language)
    return {"status": "completed", "chunks": len(chunks)}


def _fetch_stored(work: Work, key: str, path: Path, max_bytes: int | None = None) -> None:
    bucket, _, name = key.partition("/")
    try:
        work.storage.download(bucket, name, path, max_bytes=max_bytes)
    except ObjectMissing as error:
        raise LectureFailure("internal", "A stored file of this lecture is missing. Try it again.") from error

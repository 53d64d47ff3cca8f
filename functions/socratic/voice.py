"""A spoken line: its file is checked, made small, and stored; the worker hears it. Decoding runs in a child process."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import structlog

from functions.shared import audio
from functions.shared.children import ChildError, run_in_child
from functions.shared.database import rpc
from functions.shared.errors import AppError, NotFound, Unavailable
from functions.shared.jobs import JobContext
from functions.shared.llm import speech
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.speech import is_mp3
from functions.shared.llm.transcription import Transcriber
from functions.shared.markup.markdown import plain
from functions.shared.storage import ObjectMissing, Storage
from functions.socratic.errors import AudioSilent, AudioTooLong, AudioTypeNotSupported

log = structlog.get_logger(__name__)

BUCKET = "socratic-audio"
MIME_TYPE = "audio/mp4"
MAX_SECONDS = 600.0
HEAD_BYTES = 12
CHILD_SECONDS = 60.0
CHILD_MEMORY_BYTES = 2 * 1024**3


def is_sound(head: bytes) -> bool:
    """Whether a file begins as M4A, MP3, Ogg, WAV or WebM do."""
    return (
        head[4:8] == b"ftyp"
        or is_mp3(head)
        or head.startswith((b"OggS", b"\x1a\x45\xdf\xa3"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WAVE")
    )


def prepared(file: IO[bytes], folder: Path) -> tuple[Path, float]:
    """A spoken line as it is stored: mono M4A that every browser plays, and its length in seconds.

    :raise AudioTypeNotSupported: it is none of the types, or cannot be decoded
    :raise AudioTooLong: it is longer than ten minutes
    :raise AudioSilent: nothing is to be heard
    """
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not is_sound(head):
        raise AudioTypeNotSupported
    source, target = folder / "given", folder / "line.m4a"
    with source.open("wb") as copy:
        shutil.copyfileobj(file, copy)
    found = _in_child(audio.encode, str(source), str(target), MAX_SECONDS)
    match found["status"]:
        case "too_long":
            raise AudioTooLong
        case "unreadable":
            raise AudioTypeNotSupported
        case "silent":
            raise AudioSilent
    if not _in_child(audio.is_heard, str(target)):
        raise AudioSilent
    return target, float(found["seconds"])


def _in_child(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return run_in_child(function, args, seconds=CHILD_SECONDS, max_memory_bytes=CHILD_MEMORY_BYTES)
    except ChildError as error:
        log.warning("audio_not_read", error=type(error).__name__)
        raise AudioTypeNotSupported from error


def heard(context: JobContext, line: Mapping[str, Any]) -> str:
    """What a stored spoken line says. It becomes the line's content.

    :raise AudioSilent: nothing was understood, or the file is gone
    :raise ModelError: the model gave no answer
    """
    ledger = Ledger.of_job(context, "socratic_transcription")
    transcriber = Transcriber(context.settings, ledger, context.check_cancelled)
    bucket, _, key = str(line["audio_url"]).partition("/")
    with tempfile.TemporaryDirectory() as folder, Storage(context.settings) as storage:
        sound = Path(folder) / "line.m4a"
        try:
            storage.download(bucket, key, sound)
        except ObjectMissing as error:
            raise AudioSilent from error
        said = transcriber.hear(sound, float(line["audio_seconds"]), needs_times=False)
    text = " ".join(segment.text.strip() for segment in said.segments).strip()
    if not text:
        raise AudioSilent
    args = {"p_message_id": line["id"], "p_audio_url": None, "p_transcript": text}
    if not rpc(context.database.service(), "svc_store_socratic_speech", args, safe=True):
        raise Unavailable
    return text


def speak(context: JobContext, message_id: str) -> None:
    """Speaks a complete turn of the agent, where its session is spoken and a model for it is configured.

    The turn stands as text, so a fault only leaves it silent. It may run twice: the file keeps its key.
    """
    if context.settings.openai_speech_model is None:
        return
    service = context.database.service()
    try:
        row = rpc(service, "svc_load_socratic", {"p_message_id": message_id}, safe=True)
        if row["status"] != "complete" or not row["voice_enabled"] or row["has_audio"]:
            return
        ledger = Ledger.of_job(context, "socratic_speech")
        ledger.user_id = row["user_id"]
        spoken = speech.Speaker(context.settings, ledger, context.check_cancelled).say(plain(row["content"]))
        key = f"{row['user_id']}/{message_id}"
        with Storage(context.settings) as storage:
            storage.upload(BUCKET, key, io.BytesIO(spoken), speech.MIME_TYPE)
        args = {"p_message_id": message_id, "p_audio_url": f"{BUCKET}/{key}"}
        rpc(service, "svc_store_socratic_speech", args, safe=True)
    except NotFound:
        # the session was deleted meanwhile; the sweep of files deletes what was stored
        return
    except AppError as error:
        log.warning("turn_not_spoken", error_code=error.code)

"""Transcription: hears the tones of the Panopto stand-in's recording and answers as Whisper does."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from email.message import Message
from typing import Any, BinaryIO

from werkzeug.formparser import parse_form_data

from tests.standins.panopto.media import Burst
from tests.standins.panopto.media import hear as hear_file

KINDS = {"srt": "text/plain; charset=utf-8", "vtt": "text/vtt; charset=utf-8"}


def read_form(headers: Message, body: BinaryIO) -> dict[str, Any]:
    """The fields of a multipart form; a file as its bytes."""
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": headers.get("Content-Type", ""),
        "CONTENT_LENGTH": headers.get("Content-Length", "0"),
        "wsgi.input": body,
    }
    # in memory: a temporary file of werkzeug's would have to be closed
    _, fields, files = parse_form_data(environ, stream_factory=lambda *_, **__: io.BytesIO())
    return {**dict(fields.items()), **{name: file.read() for name, file in files.items()}}


def hear(sound: bytes) -> tuple[float, list[Burst]]:
    """The length of a sound file and the sentences in it."""
    with tempfile.NamedTemporaryFile(suffix=".m4a") as file:
        file.write(sound)
        file.flush()
        return hear_file(file.name)


def answer(form: str, seconds: float, heard: Sequence[Burst], model: str) -> Any:
    """The answer in the form that was asked for."""
    text = " ".join(burst.text for burst in heard)
    if form == "verbose_json":
        return {
            "task": "transcribe",
            "language": "english",
            "duration": seconds,
            "model": model,
            "text": text,
            "segments": [
                {
                    "id": number,
                    "start": burst.start,
                    "end": burst.end,
                    "text": f" {burst.text}",
                    "avg_logprob": -0.2,
                    "compression_ratio": 1.2,
                    "no_speech_prob": 0.01,
                }
                for number, burst in enumerate(heard)
            ],
            "usage": {"type": "duration", "seconds": round(seconds)},
        }
    if form == "json":
        return {"text": text, "usage": {"type": "duration", "seconds": round(seconds)}}
    return subtitles(form, heard)


def subtitles(form: str, heard: Sequence[Burst]) -> str:
    """SRT or WebVTT."""
    point = "," if form == "srt" else "."
    cues = [
        (f"{number}\n" if form == "srt" else "")
        + f"{_time(burst.start, point)} --> {_time(burst.end, point)}\n{burst.text}\n"
        for number, burst in enumerate(heard, 1)
    ]
    return ("" if form == "srt" else "WEBVTT\n\n") + "\n".join(cues)


def _time(seconds: float, point: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{point}{whole % 1000:03}"

"""Timed text: the segments of a transcript, and SRT and WebVTT files."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import webvtt
from webvtt.errors import MalformedCaptionError, MalformedFileError

from functions.shared.markup.text import visible

MAX_CAPTION_CHARACTERS = 2000
MIN_CUE_SECONDS = 0.001
TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<[\d:.]{3,20}>")


class CaptionsUnreadable(Exception):
    """The text is neither SRT nor WebVTT."""


class Segment(NamedTuple):
    """What is said from one second to another."""

    start: float
    end: float
    text: str


def tidy(segments: Iterable[Segment], *, until: float | None = None) -> list[Segment]:
    """Segments as they are stored: in order, with times that make sense, text on one line, nothing empty.

    :param until: the length of the recording; nothing lies behind it
    """
    most = math.inf if until is None else until
    kept: list[Segment] = []
    for segment in sorted(segments, key=lambda one: (one.start, one.end)):
        if not (math.isfinite(segment.start) and math.isfinite(segment.end)):
            continue
        text = " ".join(visible(segment.text).split())[:MAX_CAPTION_CHARACTERS]
        start = round(max(0.0, min(segment.start, most)), 3)
        end = round(max(0.0, min(segment.end, most)), 3)
        if text and end - start >= MIN_CUE_SECONDS:
            kept.append(Segment(start, end, text))
    return kept


def read_captions(text: str) -> list[Segment]:
    """The segments of an SRT or WebVTT file.

    :raise CaptionsUnreadable: it is neither
    """
    plain = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").strip() + "\n"
    kind = "vtt" if plain.startswith("WEBVTT") else "srt"
    try:
        cues = webvtt.from_buffer(io.StringIO(plain), format=kind).captions
    except (MalformedFileError, MalformedCaptionError, ValueError) as error:
        raise CaptionsUnreadable from error
    return tidy(
        Segment(_seconds(cue.start), _seconds(cue.end), html.unescape(TAG.sub("", cue.raw_text))) for cue in cues
    )


def _seconds(time: str) -> float:
    hours, minutes, seconds = time.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _time(seconds: float) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}.{whole % 1000:03}"


def write_webvtt(segments: Sequence[Segment]) -> str:
    """A WebVTT file of tidy segments. Its text cannot be taken for a time line or for tags."""
    captions = webvtt.WebVTT()
    for segment in segments:
        said = segment.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        captions.captions.append(webvtt.Caption(_time(segment.start), _time(segment.end), said))
    return str(captions.content) + "\n"

"""The text of a transcript, out of what a tutor sends: plain text, WebVTT or SRT."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from itertools import groupby

from functions.shared.captions import TAG
from functions.tutoring.sessions.errors import TranscriptUnreadable

MAX_BODY_BYTES = 5 * 2**20
TYPES = ("text/plain", "text/vtt", "application/x-subrip")
BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
TIMES = re.compile(r"\d[\d:.,]{3,20}[ \t]+-->[ \t]+\d")
# who speaks, in WebVTT: <v Ada>, <v.loud Ada>
VOICE = re.compile(r"<v(?:\.[^\s<>]{1,100})?[ \t]+([^<>\n]{1,200})>")
SPEAKER = re.compile(r"([^\s:][^:\n]{0,60}): ")


def text_of(sent: str, media_type: str) -> str:
    """What was said, one line for each turn of a speaker. Times are left out.

    :param media_type: one of :data:`TYPES`; any other means plain text
    :raise TranscriptUnreadable: nothing is said, or these are no captions
    """
    text = sent.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if media_type in TYPES[1:]:
        text = "\n".join(_turns(text))
    if not text.strip():
        raise TranscriptUnreadable
    return text.strip()


def _cues(captions: str) -> Iterator[str]:
    """The words of each caption. Headers, notes and styles have no times."""
    for block in BLANK_LINES.split(captions):
        lines = block.strip().split("\n")
        # a number or name may stand before the times
        at = next((at for at, line in enumerate(lines[:2]) if TIMES.match(line.strip())), None)
        if at is not None:
            words = VOICE.sub(r"\1: ", " ".join(lines[at + 1 :]))
            yield " ".join(html.unescape(TAG.sub("", words)).split())


def _turns(captions: str) -> Iterator[str]:
    """A sentence often goes on in the next caption, so what one person says stays together."""
    said = ((SPEAKER.match(words), words) for words in _cues(captions) if words)
    spoken = ((match[1] if match else "", words[match.end() :] if match else words) for match, words in said)
    for speaker, parts in groupby(spoken, key=lambda one: one[0]):
        words = " ".join(part for _, part in parts)
        yield f"{speaker}: {words}" if speaker else words

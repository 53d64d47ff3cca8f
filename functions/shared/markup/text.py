"""Invisible characters: which of them belong to the text, and which only hide something in it."""

from __future__ import annotations

import re

# scripts whose letters join, or form clusters: a joiner between two of their letters changes what the reader sees
LETTERS = (
    "\u0600-\u061b\u061d-\u07ff\u0840-\u0dff\u1000-\u109f\u1780-\u17b3\u17b6-\u180d\u1810-\u18af\u1a20-\u1aad\u1b00-\u1bff"
    "\ua840-\ua87f\ua9e0-\uaa7f\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010fff\U00011000-\U000114df\U0001e900-\U0001e95f"
)
EMOJI = "\u00a9\u00ae\u2190-\u2bff\u3030\u303d\ufe0f\U0001f000-\U0001fbff"
JOINERS = "\u200c\u200d"
INVISIBLE = re.compile(
    # controls but tab and newline, soft hyphens, fillers, zero-width, bidi controls, byte order marks, surrogates, tags
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
    # a joiner that joins nothing
    f"|(?<![{LETTERS}{EMOJI}])[{JOINERS}]|[{JOINERS}](?![{LETTERS}{EMOJI}])|(?<=[{EMOJI}])\u200c"
    # runs of variation selectors, and those of characters that have no variants, can carry a hidden message
    "|(?<=[\ufe00-\ufe0f])[\ufe00-\ufe0f]|(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
)

CONTROLS = dict.fromkeys((*range(0x09), *range(0x0B, 0x20), 0x7F))


def visible(text: str) -> str:
    """The text without characters that nobody sees, and without those that Postgres cannot store.

    Joiners stay where they belong: between letters of Persian, Hindi and their kin, and in emoji.
    """
    return text.translate(CONTROLS) if text.isascii() else INVISIBLE.sub("", text)


class VisibleStream:
    """Does the same to a text that arrives in pieces, where a joiner may stand at the end of one of them."""

    def __init__(self) -> None:
        self._before = ""
        self._held = ""

    def feed(self, text: str) -> str:
        """The visible part of the next piece. A joiner at its end waits for the letter after it."""
        text = self._held + text
        end = len(text)
        while end and text[end - 1] in JOINERS:
            end -= 1
        # more joiners than one never belong together, so the rest need not be kept
        text, self._held = text[:end], text[end : end + 2]
        if not text:
            return ""
        shown = visible(self._before + text)[len(self._before) :]
        # a variation selector alone would be removed, and has nothing to say about what follows
        self._before = visible(shown[-1:]) or self._before
        return shown

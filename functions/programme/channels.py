"""How long a post is, by the rules of the channel that it is for. Where a rule cannot be followed to the letter, a text
is counted as longer than it is, so that a post that passes here passes there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

URL = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
# addresses without a scheme, which become links, too
BARE_URL = re.compile(r"(?<![\w@./-])(?:[\w-]+\.)+[^\W\d_]{2,}(?:/[^\s<>\"]*)?")
LINK_CHARACTERS = 23
EMOJI = re.compile("[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001fbff]")
JOINER = "\u200d"
SKIN_TONES = "\U0001f3fb-\U0001f3ff"
EXTENDS = re.compile(f"[\u200c\u200d\ufe00-\ufe0f\u20e3\u1160-\u11ff{SKIN_TONES}\U000e0020-\U000e007f]")
FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")
# characters that count once on X; all others count twice
LIGHT = re.compile("[\u0000-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]")
MAX_BLUESKY_BYTES = 3000


class Channel(NamedTuple):
    """A channel: its longest post, and how it counts."""

    limit: int
    length: Callable[[str], int]


def clusters(text: str) -> list[str]:
    """What a reader sees as one character each: a letter with its accents, an emoji with all its parts, a flag."""
    found: list[str] = []
    for character in text:
        last = found[-1] if found else ""
        is_part = unicodedata.category(character).startswith("M") or EXTENDS.match(character)
        is_joined = last.endswith(JOINER) and EMOJI.match(character)
        is_second_flag = len(last) == 1 and FLAG.match(last) and FLAG.match(character)
        if last and (is_part or is_joined or is_second_flag or (last == "\r" and character == "\n")):
            found[-1] = last + character
        else:
            found.append(character)
    return found


def x_length(text: str) -> int:
    """As X counts: links are 23, emoji 2, characters outside of Latin and its neighbours 2."""
    normal = unicodedata.normalize("NFC", text)
    rest = URL.sub("", normal)
    bare = BARE_URL.findall(rest)
    links = LINK_CHARACTERS * len(URL.findall(normal))
    links += sum(max(LINK_CHARACTERS, _weight(one)) for one in bare)
    return links + _weight(BARE_URL.sub("", rest))


def _weight(text: str) -> int:
    return sum(
        2 if EMOJI.match(cluster) or FLAG.match(cluster) else sum(1 if LIGHT.match(one) else 2 for one in cluster)
        for cluster in clusters(text)
    )


def bluesky_length(text: str) -> int:
    """As Bluesky counts: what readers see as characters. A text of too many bytes is too long, too."""
    size = len(clusters(text))
    return size if len(text.encode()) <= MAX_BLUESKY_BYTES else max(size, MAX_BLUESKY_BYTES)


def threads_length(text: str) -> int:
    """As Threads counts: characters, and the bytes of emoji."""
    return sum(len(one.encode()) if EMOJI.match(one) or FLAG.match(one) else len(one) for one in clusters(text))


def mastodon_length(text: str) -> int:
    """As Mastodon counts: links are 23, everything else by characters."""
    return LINK_CHARACTERS * len(URL.findall(text)) + len(URL.sub("", text))


def utf16_length(text: str) -> int:
    """As browsers count: characters beyond the basic plane are two."""
    return len(text.encode("utf-16-le")) // 2


CHANNELS = {
    "x": Channel(280, x_length),
    "bluesky": Channel(300, bluesky_length),
    "threads": Channel(500, threads_length),
    "mastodon": Channel(500, mastodon_length),
    "instagram": Channel(2200, utf16_length),
    "linkedin": Channel(3000, utf16_length),
}


def fits(channel: str, text: str) -> bool:
    """Whether a post is not too long for its channel, and not empty.

    :raise KeyError: no such channel
    """
    known = CHANNELS[channel]
    return bool(text.strip()) and known.length(text) <= known.limit

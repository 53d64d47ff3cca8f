"""A recording made of tones. The pitch of each tone says which sentence it stands for, so a stand-in can hear it."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av

RATE = 16_000
STEP_SECONDS = 3.0
TONE_SECONDS = 2.2  # the rest of each step is silent
LEAD_SECONDS = 1.0
FIRST_HERTZ, HERTZ_APART, PITCHES = 300, 30, 80
FRAME_SAMPLES = 1024

TOPICS = (
    "a hash table finds a key in constant time on average",
    "collisions are resolved by chaining or by open addressing",
    "the load factor tells when the table has to grow",
    "a binary search tree keeps its keys in order",
    "a red black tree repairs its balance by rotations",
    "a heap gives the smallest element first",
    "breadth first search visits a graph level by level",
    "Dijkstra's algorithm needs weights that are not negative",
    "dynamic programming stores the answers of smaller problems",
    "merge sort divides the list and merges the sorted halves",
)


@dataclass(frozen=True)
class Burst:
    """One sentence of the recording. Times are seconds from its beginning."""

    number: int
    start: float
    end: float

    @property
    def text(self) -> str:
        """What is said in it."""
        return heard_text(self.number)


def heard_text(number: int) -> str:
    """The sentence of this number."""
    return f"Point {number + 1}: {TOPICS[number % len(TOPICS)]}."


def bursts(seconds: float, *, tone_seconds: float = TONE_SECONDS) -> list[Burst]:
    """The sentences of a recording of this length. ``tone_seconds=3`` leaves no silence between them."""
    found: list[Burst] = []
    while (start := LEAD_SECONDS + len(found) * STEP_SECONDS) + tone_seconds <= seconds:
        found.append(Burst(len(found), start, start + tone_seconds))
    assert len(found) <= PITCHES, "each pitch stands for one sentence"
    return found


def samples(seconds: float, said: list[Burst]) -> array[int]:
    """Signed 16-bit mono samples."""
    sound = array("h", bytes(2 * round(seconds * RATE)))
    for burst in said:
        hertz = FIRST_HERTZ + HERTZ_APART * burst.number
        # a whole number of hertz repeats every second
        wave = array("h", (int(9000 * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(RATE)))
        first, count = round(burst.start * RATE), round((burst.end - burst.start) * RATE)
        sound[first : first + count] = (wave * (count // RATE + 1))[:count]
    return sound


def audio_frames(sound: array[int]) -> Iterator[av.AudioFrame]:
    """The samples as FFmpeg takes them."""
    for first in range(0, len(sound), FRAME_SAMPLES):
        part = sound[first : first + FRAME_SAMPLES]
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(part))
        data = part.tobytes()
        # a plane is padded to a multiple of its alignment
        frame.planes[0].update(data + bytes(frame.planes[0].buffer_size - len(data)))
        frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
        yield frame


def make_media(
    path: Path, seconds: float = 60.0, *, tone_seconds: float = TONE_SECONDS, with_video: bool = True
) -> list[Burst]:
    """Writes an MP4 with sound, and with a dark picture as recordings have; what is said in it."""
    said = bursts(seconds, tone_seconds=tone_seconds)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as file:
        sound: Any = file.add_stream("aac", rate=RATE, layout="mono", bit_rate=48_000)
        picture: Any = None
        if with_video:
            picture = file.add_stream("mpeg4", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        for frame in audio_frames(samples(seconds, said)):
            file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
        for number in range(math.ceil(seconds) if with_video else 0):
            image = av.VideoFrame(64, 48, "yuv420p")
            for plane in image.planes:
                plane.update(bytes(plane.buffer_size))
            image.pts, image.time_base = number, Fraction(1, 1)
            file.mux(picture.encode(image))
        if with_video:
            file.mux(picture.encode(None))
    return said


def hear(path: str) -> tuple[float, list[Burst]]:
    """The length of a sound file and the sentences in it, found by pitch. Half a sentence counts, too."""
    window = RATE // 10
    sound = array("h")
    with av.open(path) as file:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in [*file.decode(audio=0), None]:
            for part in resampler.resample(frame):
                sound.frombytes(bytes(part.planes[0])[: part.samples * 2])
    found: list[Burst] = []
    for index in range(len(sound) // window):
        number = _pitch(sound[index * window : (index + 1) * window])
        if number is None:
            continue
        at = index * window / RATE
        if found and found[-1].number == number and at - found[-1].end < 0.15:
            found[-1] = Burst(number, found[-1].start, at + window / RATE)
        else:
            found.append(Burst(number, at, at + window / RATE))
    return len(sound) / RATE, [burst for burst in found if burst.end - burst.start > 0.25]


def _pitch(part: array[int]) -> int | None:
    if max(part) < 1500:
        return None
    crossings = sum(1 for one, other in pairwise(part) if (one < 0) != (other < 0))
    number = round((crossings / 2 / (len(part) / RATE) - FIRST_HERTZ) / HERTZ_APART)
    return number if 0 <= number < PITCHES else None

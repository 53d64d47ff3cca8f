"""Sound of recordings. Everything here runs in a child process (shared/children.py): media come from strangers.

Positions are samples of the lecture's own sound, at ``RATE`` a second. Times in answers are milliseconds.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

RATE = 16_000
BIT_RATE = 32_000
# containers that recordings come in. A playlist is none of them: it would make FFmpeg open what it names.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,mp3,aac,flac,ogg,wav,matroska,webm,mpegts,mpeg,asf,flv"
MAX_BAD_PACKETS = 1000
GAP_SECONDS = 0.25
SILENT_BLOCK = bytes(2 * RATE)

LEVEL_SAMPLES = 320  # 20 ms
SILENT_LEVEL = 583  # -35 dB of the highest level
MIN_SILENT_LEVELS = 13  # 260 ms
MIN_SOUND_LEVELS = 5
EDGE_MS = 200
OVERLAP_MS = 4000
# longer than any sound
MAX_SECONDS = 1_000_000.0


def library() -> ModuleType:
    """FFmpeg. A worker names the functions of this module and never loads it."""
    import av

    return av


# ---- from a recording to the lecture's sound --------------------------------------------------------------------


def encode(source: str, target: str, max_seconds: float) -> dict[str, Any]:
    """Writes the sound of a recording as mono AAC at 16 kHz, in an M4A file that can be played while it loads.

    Silence fills gaps in the recording's own times, so that a second of the sound is a second of the player.

    :return: ``{"status": "ok", "seconds": 61.4}``, or status ``unreadable``, ``silent`` (no sound) or ``too_long``
    """
    av = library()
    most = int(max_seconds * RATE)
    written = 0
    try:
        with (
            _opened(source) as recording,
            av.open(target, "w", format="ipod", options={"movflags": "+faststart"}) as file,
        ):
            if not recording.streams.audio:
                return {"status": "silent"}
            stream = file.add_stream("aac", rate=RATE, layout="mono", bit_rate=BIT_RATE)
            for block in _sound(recording):
                file.mux(stream.encode(_frame(block, written)))
                written += len(block) // 2
                if written > most:
                    return {"status": "too_long"}
            file.mux(stream.encode(None))
    except (av.FFmpegError, ValueError):
        return {"status": "unreadable"}
    return {"status": "ok", "seconds": written / RATE} if written else {"status": "silent"}


def _opened(source: str) -> Any:
    limits = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    return library().open(source, "r", container_options=limits)


def _sound(recording: Any) -> Iterator[bytes]:
    """Mono samples at ``RATE``, 16 bits each, as the recording's times have them."""
    av = library()
    begin = (recording.start_time or 0) / av.time_base
    given = 0
    resampler, form = None, None
    for frame in _frames(recording):
        late = 0.0 if frame.time is None else frame.time - begin - given / RATE
        if late > GAP_SECONDS:
            for _ in range(int(late)):
                yield SILENT_BLOCK
            rest = bytes(2 * int(late % 1 * RATE))
            yield rest
            given += int(late) * RATE + len(rest) // 2
        elif late < -GAP_SECONDS:
            # its times begin anew
            begin += late
        if form != (form := (frame.format.name, frame.layout.name, frame.sample_rate)):
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        frame.pts = None
        for block in _resampled(resampler, frame):
            given += len(block) // 2
            yield block
    if resampler is not None:
        yield from _resampled(resampler, None)


def _resampled(resampler: Any, frame: Any) -> Iterator[bytes]:
    for part in resampler.resample(frame):
        # a plane is padded
        yield bytes(part.planes[0])[: part.samples * 2]


def _frames(recording: Any) -> Iterator[Any]:
    """The decoded frames. Damaged packets are left out, as players do it."""
    av = library()
    bad = 0
    for packet in recording.demux(audio=0):
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except av.FFmpegError:
            bad += 1
            if bad > MAX_BAD_PACKETS:
                raise


def _frame(block: bytes, at: int) -> Any:
    frame = library().AudioFrame(format="s16", layout="mono", samples=len(block) // 2)
    plane = frame.planes[0]
    plane.update(block + bytes(plane.buffer_size - len(block)))
    frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
    return frame


# ---- from the sound to pieces -------------------------------------------------------------------------------------


def cut(source: str, folder: str, piece_seconds: float, overlaps: bool, have: Sequence[Sequence[int]]) -> Any:
    """Cuts a lecture's sound at silences into pieces of at most this length, and writes those that are missing.

    Where nobody pauses, two pieces overlap by four seconds when ``overlaps`` is true, and touch otherwise. The same
    sound gives the same pieces.

    :param have: [start, end] of pieces that are not needed
    :return: ``[{"start", "end", "sound_start", "sound_end", "path"}]`` in milliseconds. ``path`` is None for a piece
        that is not needed; ``sound_start`` and ``sound_end`` are where it is not silent, None when it is silent
    """
    pieces = plan(_levels(source), piece_seconds, overlaps)
    known = {(start, end) for start, end in have}
    wanted = [
        piece | {"path": str(Path(folder) / f"{piece['start']}.m4a")}
        for piece in pieces
        if (piece["start"], piece["end"]) not in known and piece["sound_start"] is not None
    ]
    with _opened(source) as file:
        _write(_sound(file), wanted)
    paths = {piece["start"]: piece["path"] for piece in wanted}
    return [piece | {"path": paths.get(piece["start"])} for piece in pieces]


def is_heard(source: str) -> bool:
    """Whether a sound is anywhere louder than silence, for a tenth of a second."""
    return any(piece["sound_start"] is not None for piece in plan(_levels(source), MAX_SECONDS, False))


def _levels(source: str) -> array[int]:
    """The highest sample of every 20 ms of a sound."""
    levels = array("h")
    with _opened(source) as file:
        rest = b""
        for block in _sound(file):
            rest += block
            whole = len(rest) // (2 * LEVEL_SAMPLES)
            view = memoryview(rest)[: whole * 2 * LEVEL_SAMPLES].cast("h")
            levels.extend(max(view[n * LEVEL_SAMPLES : (n + 1) * LEVEL_SAMPLES]) for n in range(whole))
            rest = rest[whole * 2 * LEVEL_SAMPLES :]
            del view
    return levels


def plan(levels: Sequence[int], piece_seconds: float, overlaps: bool) -> list[dict[str, Any]]:
    """Where to cut, from the highest sample of every 20 ms."""
    most = max(2, int(piece_seconds * RATE / LEVEL_SAMPLES))
    extra = OVERLAP_MS // 2 * RATE // 1000 // LEVEL_SAMPLES if overlaps else 0
    extra = min(extra, most // 8)
    # quiet recordings have quieter pauses
    loud = sorted(levels)[len(levels) * 9 // 10] if levels else 0
    silent = [level < min(SILENT_LEVEL, max(1, loud // 8)) for level in levels]
    pieces: list[dict[str, Any]] = []
    start, before = 0, 0
    while start < len(levels):
        end, after = len(levels), 0
        if end - start + before > most:
            first, last = start + most // 2, start + most - before - extra
            pause = _longest_pause(silent, first, last)
            end, after = (sum(pause) // 2, 0) if pause else (last, extra)
        pieces.append(_piece(silent, start - before, end + after))
        start, before = end, after
    return pieces


def _longest_pause(silent: Sequence[bool], first: int, last: int) -> tuple[int, int] | None:
    """The longest run of silence between two levels, the last of equal ones, if one is long enough."""
    best: tuple[int, int] | None = None
    at = first
    for quiet, run in itertools.groupby(silent[first:last]):
        length = len(list(run))
        if quiet and length >= MIN_SILENT_LEVELS and (best is None or length >= best[1] - best[0]):
            best = (at, at + length)
        at += length
    return best


def _piece(silent: Sequence[bool], start: int, end: int) -> dict[str, Any]:
    def ms(level: int) -> int:
        return level * LEVEL_SAMPLES * 1000 // RATE

    loud = [level for level in range(start, min(end, len(silent))) if not silent[level]]
    heard = len(loud) >= MIN_SOUND_LEVELS
    return {
        "start": ms(start),
        "end": ms(end),
        "sound_start": max(ms(start), ms(loud[0]) - EDGE_MS) if heard else None,
        "sound_end": min(ms(end), ms(loud[-1] + 1) + EDGE_MS) if heard else None,
    }


def _write(sound: Iterator[bytes], pieces: Sequence[dict[str, Any]]) -> None:
    """Writes pieces of a sound in one pass over it."""
    waiting = sorted(pieces, key=lambda piece: piece["start"])
    open_files: list[tuple[Any, Any, int, int]] = []  # file, stream, first sample, end
    at = 0
    for block in sound:
        after = at + len(block) // 2
        while waiting and waiting[0]["start"] * RATE // 1000 < after:
            piece = waiting.pop(0)
            file = library().open(piece["path"], "w", format="ipod", options={"movflags": "+faststart"})
            stream = file.add_stream("aac", rate=RATE, layout="mono", bit_rate=BIT_RATE)
            open_files.append((file, stream, piece["start"] * RATE // 1000, piece["end"] * RATE // 1000))
        for entry in list(open_files):
            file, stream, first, end = entry
            part = block[2 * max(0, first - at) : 2 * max(0, end - at)]
            if part:
                file.mux(stream.encode(_frame(part, max(at, first) - first)))
            if end <= after:
                _close(file, stream)
                open_files.remove(entry)
        at = after
    for file, stream, _, _ in open_files:
        _close(file, stream)


def _close(file: Any, stream: Any) -> None:
    file.mux(stream.encode(None))
    file.close()

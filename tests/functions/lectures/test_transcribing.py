"""From sound to segments: captions, models of every kind, pieces that fail, overlaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.lectures.transcribing import joined
from functions.shared.captions import Segment
from functions.shared.llm.transcription import _forms
from tests.standins.panopto import Burst, Session, bursts, make_media
from tests.support.lectures import Hall, session_id

SRT = """1
00:00:01,000 --> 00:00:03,200
<i>Welcome</i> to hash tables &amp; trees.

2
00:00:04,000 --> 00:00:40,000
Two
lines.
"""


@pytest.fixture(autouse=True)
def _fresh_forms() -> Iterator[None]:
    _forms.clear()
    yield
    _forms.clear()


def transcribed(hall: Hall, session: Session | None = None, **settings: str) -> list[dict[str, Any]]:
    """The segments of a new lecture."""
    lecture = hall.submit(hall.panopto.add(session or Session(session_id())))
    hall.finish(lecture, **{"TRANSCRIPTION_PIECE_SECONDS": "10", **settings})
    return list(hall.transcript(lecture)["segments"])


def compare(segments: list[dict[str, Any]], said: list[Burst]) -> None:
    """Every sentence is there once, at its second."""
    assert [part["text"] for part in segments] == [burst.text for burst in said]
    for part, burst in zip(segments, said, strict=True):
        assert abs(part["start"] - burst.start) <= 0.5, part
        assert abs(part["end"] - burst.end) <= 0.5, part


def test_captions_of_panopto_are_used_where_it_has_some(hall: Hall) -> None:
    segments = transcribed(hall, Session(session_id(), captions=SRT))
    assert segments == [
        {"start": 1.0, "end": 3.2, "text": "Welcome to hash tables & trees."},
        {"start": 4.0, "end": 32.0, "text": "Two lines."},
    ]
    assert hall.model.requests == []


def test_captions_can_be_switched_off(hall: Hall) -> None:
    compare(transcribed(hall, Session(session_id(), captions=SRT), PANOPTO_CAPTIONS="off"), hall.panopto.said())


def test_captions_that_cannot_be_read_do_not_count(hall: Hall) -> None:
    session = Session(session_id(), captions="<html>Sign in</html>")
    compare(transcribed(hall, session), hall.panopto.said())


@pytest.mark.parametrize("name", ["standin-srt-only", "standin-vtt-only"])
def test_models_that_give_subtitles(hall: Hall, name: str) -> None:
    compare(transcribed(hall, OPENAI_TRANSCRIPTION_MODEL=name), hall.panopto.said())
    refused = [asked for asked in hall.model.requests if "numbers" not in asked["body"]]
    assert len(refused) in (1, 2), "what a model cannot do is asked once"


def test_a_model_that_gives_text_alone_hears_short_windows(hall: Hall) -> None:
    segments = transcribed(hall, OPENAI_TRANSCRIPTION_MODEL="standin-text-only")
    said = hall.panopto.said()
    assert " ".join(part["text"] for part in segments) == " ".join(burst.text for burst in said)
    starts = {burst.text.split(":")[0]: burst.start for burst in said}
    for part in segments:
        assert abs(part["start"] - starts[part["text"].split(":")[0]]) <= 0.5


@pytest.mark.parametrize("seconds", ["17", "25", "600"])
def test_speech_without_a_pause_is_neither_doubled_nor_lost(hall: Hall, tmp_path: Path, seconds: str) -> None:
    media = tmp_path / "talk.mp4"
    said = make_media(media, 40, tone_seconds=3.0)
    segments = transcribed(hall, Session(session_id(), media=media), TRANSCRIPTION_PIECE_SECONDS=seconds)
    compare(segments, said)


def test_a_gap_in_the_recordings_times_stays_a_gap(hall: Hall, tmp_path: Path) -> None:
    media = tmp_path / "gap.mkv"
    said = with_a_gap(media, gap_at=10.0, gap_seconds=6.0)
    compare(transcribed(hall, Session(session_id(), media=media)), said)


def with_a_gap(path: Path, gap_at: float, gap_seconds: float) -> list[Burst]:
    """A recording whose times jump, as when a recorder was paused."""
    import av

    from tests.standins.panopto.media import RATE, audio_frames, samples

    said = bursts(20)
    with av.open(str(path), "w", format="matroska") as file:
        stream: Any = file.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for frame in audio_frames(samples(20, said)):
            late = gap_seconds if (frame.pts or 0) >= gap_at * RATE else 0.0
            for packet in stream.encode(frame):
                packet.pts = packet.dts = (packet.pts or 0) + int(late * RATE)
                file.mux(packet)
    return [Burst(b.number, b.start + gap_seconds, b.end + gap_seconds) if b.start >= gap_at else b for b in said]


def test_an_attempt_after_a_failure_sends_only_what_is_missing(hall: Hall) -> None:
    lecture = hall.submit()
    settings = {"TRANSCRIPTION_PIECE_SECONDS": "10"}
    hall.step(lecture)
    hall.model.say("normal", "500", "500", "500", default="normal")
    failure = hall.step(lecture, **settings).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("provider_unavailable", True)
    assert len(hall.sql("select 1 from private.lecture_pieces where lecture_id = %s", lecture)) == 1
    hall.finish(lecture, **settings)
    assert sorted(hall.heard()) == [burst.number for burst in hall.panopto.said()], "no sentence was heard twice"
    compare(hall.transcript(lecture)["segments"], hall.panopto.said())


def test_every_call_is_on_record_with_its_seconds(hall: Hall) -> None:
    hall.model.say("500", default="normal")
    prices = '{"standin-normal": {"minute": 0.006}}'
    transcribed(hall, TRANSCRIPTION_PIECE_SECONDS="600", MODEL_PRICES=prices)
    calls = hall.sql(
        "select u.purpose, u.audio_seconds::float, u.cost_usd::float, u.is_estimated from private.model_usage as u"
        " join public.jobs as j on j.id = u.job_id where j.type = 'lecture_transcription' order by u.id"
    )
    assert [purpose for purpose, *_ in calls] == ["transcription"] * 2
    (_, refused, nothing, _), (_, seconds, cost, estimated) = calls
    assert (refused or 0, nothing) == (0, 0), "a call that was refused costs nothing"
    assert abs(seconds - 31) < 0.1
    assert abs(cost - 31 / 60 * 0.006) < 0.0001
    assert estimated is False


def test_a_fault_of_a_moment_is_repeated_at_once(hall: Hall) -> None:
    hall.model.say("500", "429", default="normal")
    compare(transcribed(hall), hall.panopto.said())


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("401", "transcription_failed"),
        ("quota", "provider_unavailable"),
        ("500", "provider_unavailable"),
        ("200-html", "transcription_failed"),
    ],
)
def test_a_provider_that_does_not_work_ends_the_lecture(hall: Hall, behaviour: str, code: str) -> None:
    hall.model.say(default=behaviour)
    lecture = hall.submit()
    row = hall.finish(lecture)
    assert (row["status"], row["error_message"].partition(":")[0]) == ("failed", code)
    assert row["audio_storage_key"] is None
    assert hall.sql("select used from private.usage_counters where user_id = %s", hall.person.user_id) == [(0,)]
    assert hall.notifications() == ["lecture_failed"]


def test_a_pause_that_the_provider_asks_for_is_left_to_the_queue(hall: Hall) -> None:
    lecture = hall.submit()
    hall.step(lecture)
    hall.model.say("429-long")
    failure = hall.step(lecture).failure
    assert failure is not None
    assert (failure.retryable, failure.retry_after_s) == (True, 300)
    assert len(hall.model.requests) == 1


def test_a_silent_provider_is_given_up(hall: Hall) -> None:
    lecture = hall.submit()
    hall.step(lecture)
    hall.model.say(default="hang")
    failure = hall.step(lecture, MODEL_DEADLINE_SECONDS="0.5").failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("provider_unavailable", True)


def test_without_a_model_the_lecture_fails_clearly(hall: Hall) -> None:
    row = hall.finish(hall.submit(), OPENAI_TRANSCRIPTION_MODEL="")
    assert row["error_message"].startswith("transcription_failed: ")


def test_a_lecture_without_a_word_is_complete(hall: Hall, tmp_path: Path) -> None:
    media = tmp_path / "silence.mp4"
    make_media(media, 8, tone_seconds=9.0)
    lecture = hall.submit(hall.panopto.add(Session(session_id(), media=media)))
    row = hall.finish(lecture)
    assert (row["status"], row["ingest_status"]) == ("completed", "none")
    assert hall.transcript(lecture)["segments"] == []
    assert hall.model.requests == [], "silence is not sent"


# ---- overlaps -----------------------------------------------------------------------------------------------------

PIECES = [{"start": 0, "end": 60_000}, {"start": 56_000, "end": 120_000}]


def told(*segments: tuple[float, float, str]) -> list[Segment]:
    return [Segment(*segment) for segment in segments]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # both heard it whole
        ([(50, 54, "a"), (56.5, 58.5, "b")], [(56.6, 58.4, "b"), (59, 63, "c")], ["a", "b", "c"]),
        # the first piece ends in the middle of it
        ([(50, 56.2, "a"), (57, 60, "half")], [(57, 61, "whole"), (62, 63, "c")], ["a", "whole", "c"]),
        # the second begins in the middle of it
        ([(50, 55, "a"), (55.2, 58, "whole")], [(56, 58, "half"), (58.5, 63, "c")], ["a", "whole", "c"]),
        # longer than the overlap: a few words twice rather than a gap
        ([(50, 60, "long")], [(56, 66, "long on")], ["long", "long on"]),
        # nothing in the overlap
        ([(50, 55, "a")], [(61, 66, "b")], ["a", "b"]),
    ],
)
def test_what_two_pieces_heard_is_there_once(first: Any, second: Any, expected: list[str]) -> None:
    found = joined(PIECES, [told(*first), told(*second)])
    assert [segment.text for segment in found] == expected
    assert all(one.end <= other.start + 0.05 for one, other in itertools.pairwise(found))

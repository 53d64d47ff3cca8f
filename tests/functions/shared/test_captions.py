"""SRT and WebVTT, read from strangers and written for players."""

from __future__ import annotations

import io
import math

import pytest
import webvtt

from functions.shared.captions import CaptionsUnreadable, Segment, read_captions, tidy, write_webvtt

SRT = (
    "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\nHello\r\nthere\r\n\r\n"
    "2\r\n01:00:00,000 --> 01:00:01,000\r\nBye &amp; bye\r\n"
)
VTT = (
    "WEBVTT\n\nNOTE x\n\n00:01.000 --> 00:02.500 align:start\n<v Ann>Hello <b>there</b>\n\n"
    "01:00:00.000 --> 01:00:01.000\nBye &lt;3\n"
)


@pytest.mark.parametrize(("text", "last"), [(SRT, "Bye & bye"), (VTT, "Bye <3")])
def test_both_kinds_are_read(text: str, last: str) -> None:
    assert read_captions(text) == [(1.0, 2.5, "Hello there"), (3600.0, 3601.0, last)]


@pytest.mark.parametrize("text", ["", "<!DOCTYPE html><html></html>", "Sign in --> here", "{}"])
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(CaptionsUnreadable):
        read_captions(text)


def test_text_cannot_become_a_time_line_or_a_tag() -> None:
    nasty = [
        "a --> b",
        "<script>alert(1)</script>",
        "WEBVTT",
        "NOTE x",
        "two\n\nparts",
        "00:00:01.000 --> 00:00:02.000",
        "&lt;",
    ]
    segments = tidy(Segment(number, number + 0.5, text) for number, text in enumerate(nasty))
    written = write_webvtt(segments)
    assert written.startswith("WEBVTT\n\n")
    assert written.count("-->") == len(nasty)
    assert "<" not in written.replace("-->", "")
    cues = webvtt.from_buffer(io.StringIO(written)).captions
    assert len(cues) == len(nasty)
    assert read_captions(written) == segments


def test_times_are_exact_and_nothing_else_is_kept() -> None:
    odd = [
        Segment(5.0, 4.0, "backwards"),
        Segment(math.nan, 1.0, "nan"),
        Segment(0.0, math.inf, "for ever"),
        Segment(1.0, 2.0, " \u200b "),
        Segment(3661.0016, 3662.9999, "late"),
        Segment(-1.0, 0.5, "early"),
    ]
    kept = tidy(odd, until=7200)
    assert [segment.text for segment in kept] == ["early", "late"]
    assert "01:01:01.002 --> 01:01:03.000" in write_webvtt(kept) or "01:01:01.001 --> 01:01:03.000" in write_webvtt(
        kept
    )
    assert write_webvtt([]).startswith("WEBVTT")

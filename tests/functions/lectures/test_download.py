"""The download against a Panopto that is slow, broken, closed or full of surprises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from functions.lectures.download import is_page
from tests.standins.panopto import OPEN_SESSION, Session, make_media
from tests.support.lectures import Hall, session_id


def sent(hall: Hall) -> list[tuple[str | None, int]]:
    """The ranges of media that were asked for, and how many bytes each answer had."""
    return [(asked.range, asked.sent) for asked in hall.panopto.requests if asked.sent]


def ended(hall: Hall, session: Session, **settings: str) -> tuple[str, str]:
    """How a lecture ends, and the code it shows."""
    lecture = hall.submit(hall.panopto.add(session))
    row = hall.finish(lecture, **settings)
    return row["status"], (row["error_message"] or "").partition(":")[0]


def test_a_broken_download_goes_on_where_it_broke(hall: Hall) -> None:
    hall.panopto.faults = ["cut", "cut"]
    lecture = hall.submit()
    hall.step(lecture)
    size = hall.panopto.media(hall.panopto.sessions[OPEN_SESSION]).stat().st_size
    (_, first), _, (last_range, last) = sent(hall)
    begin = size - last
    assert last_range == f"bytes={begin}-"
    # what had come when it broke is kept, but for a part that was not handed on yet
    assert begin > 0
    assert begin > first - 64 * 1024
    assert hall.row(lecture)["duration_seconds"] == 32


def test_a_server_that_gives_less_than_was_asked_for_is_asked_for_the_rest(hall: Hall) -> None:
    hall.panopto.faults = ["short", "short"]
    lecture = hall.submit()
    hall.step(lecture)
    size = hall.panopto.media(hall.panopto.sessions[OPEN_SESSION]).stat().st_size
    assert sum(count for _, count in sent(hall)) == size
    assert hall.row(lecture)["duration_seconds"] == 32


@pytest.mark.parametrize("fault", ["no-range", "changed"])
def test_another_version_is_fetched_from_its_beginning(hall: Hall, fault: str) -> None:
    hall.panopto.faults = ["cut", fault]
    lecture = hall.submit()
    hall.step(lecture)
    size = hall.panopto.media(hall.panopto.sessions[OPEN_SESSION]).stat().st_size
    assert sent(hall)[-1][1] == size
    assert hall.row(lecture)["duration_seconds"] == 32


def test_an_address_that_has_expired_is_asked_for_again(hall: Hall) -> None:
    hall.panopto.faults = ["expired"]
    lecture = hall.submit()
    hall.step(lecture)
    assert hall.row(lecture)["audio_storage_key"] == f"audio/{lecture}.m4a"


def test_a_server_that_fails_is_asked_again_by_the_queue(hall: Hall) -> None:
    hall.panopto.faults = ["500"] * 5
    lecture = hall.submit()
    failure = hall.step(lecture).failure
    assert failure is not None
    assert (failure.code, failure.retryable) == ("provider_unavailable", True)
    assert hall.row(lecture)["status"] == "downloading"
    assert hall.step(lecture).failure is None


def test_the_last_attempt_ends_the_lecture(hall: Hall) -> None:
    hall.panopto.faults = ["500"] * 20
    lecture = hall.submit()
    row = hall.finish(lecture)
    assert (row["status"], row["error_message"]) == (
        "failed",
        "provider_unavailable: Panopto does not answer. Try again later.",
    )
    (job,) = hall.sql("select status::text, error_code, retry_count from public.jobs where type = 'lecture_download'")
    assert job == ("failed", "provider_unavailable", 3)
    assert hall.notifications() == ["lecture_failed"]


def test_a_download_that_takes_too_long_is_given_up(hall: Hall) -> None:
    hall.panopto.faults = ["slow"]
    failure = hall.step(hall.submit(), LECTURE_DOWNLOAD_TIMEOUT_SECONDS="1").failure
    assert failure is not None
    assert failure.code == "provider_unavailable"


@pytest.mark.parametrize("podcast", [True, False])
def test_a_page_for_signing_in_is_no_recording(hall: Hall, podcast: bool) -> None:
    session = Session(session_id(), access="login", podcast=podcast)
    assert ended(hall, session) == ("failed", "panopto_login_required")
    assert hall.files() == set()
    assert hall.notifications() == ["lecture_failed"]


def test_a_page_instead_of_media_is_recognised_behind_any_address(hall: Hall, tmp_path: Path) -> None:
    page = tmp_path / "page.mp4"
    page.write_text("\n<!DOCTYPE html><html><body>Sign in</body></html>")
    assert ended(hall, Session(session_id(), media=page)) == ("failed", "panopto_login_required")


def test_a_recording_that_is_gone_says_so(hall: Hall) -> None:
    assert ended(hall, Session(session_id(), access="gone")) == ("failed", "panopto_gone")


@pytest.mark.parametrize("delivery", ["podcast", "stream"])
def test_without_a_podcast_link_the_viewers_address_is_used(hall: Hall, delivery: str) -> None:
    lecture = hall.submit(hall.panopto.add(Session(session_id(), title="Trees", podcast=False, delivery=delivery)))
    hall.step(lecture)
    row = hall.row(lecture)
    assert (row["duration_seconds"], row["title"]) == (32, "Trees")
    assert "/cdn/" not in row["stream_url"], "a signed address expires, so it is not stored"


def test_a_playlist_is_no_file(hall: Hall) -> None:
    session = Session(session_id(), podcast=False, delivery="hls")
    assert ended(hall, session) == ("failed", "media_unreadable")


def test_a_recording_over_the_limit_is_not_fetched(hall: Hall) -> None:
    session = Session(session_id())
    assert ended(hall, session, LECTURE_MAX_BYTES="1000") == ("failed", "media_too_long")
    assert hall.panopto.media_sent() < 500_000


def test_a_lecture_longer_than_the_limit_is_refused(hall: Hall) -> None:
    assert ended(hall, Session(session_id()), LECTURE_MAX_SECONDS="20") == ("failed", "media_too_long")
    assert hall.files() == set()


@pytest.mark.parametrize("kind", ["noise", "cut", "no sound"])
def test_media_without_readable_sound_are_refused(hall: Hall, tmp_path: Path, kind: str) -> None:
    media = tmp_path / "odd.mp4"
    make_media(media, 5)
    whole = media.read_bytes()
    if kind == "noise":
        media.write_bytes(bytes(range(256)) * 400)
    elif kind == "cut":
        media.write_bytes(whole[:600])
    else:
        silent_film(media)
    assert ended(hall, Session(session_id(), media=media)) == ("failed", "media_unreadable")


def silent_film(path: Path) -> None:
    import av

    with av.open(str(path), "w", format="mp4") as file:
        picture: Any = file.add_stream("mpeg4", rate=1)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        image = av.VideoFrame(64, 48, "yuv420p")
        image.pts = 0
        file.mux(picture.encode(image))
        file.mux(picture.encode(None))


def test_a_playlist_file_never_makes_us_open_what_it_names(hall: Hall, tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    make_media(secret, 5)
    for name, text in (
        ("a.mp4", f"ffconcat version 1.0\nfile {secret}\n"),
        ("b.mp4", f"#EXTM3U\n#EXTINF:5,\nfile://{secret}\n#EXT-X-ENDLIST\n"),
    ):
        media = tmp_path / name
        media.write_text(text)
        status, code = ended(hall, Session(session_id(), media=media))
        assert (status, code) in {("failed", "media_unreadable"), ("failed", "panopto_login_required")}
    assert hall.files() == set()


def test_no_cookie_and_no_token_goes_to_panopto(hall: Hall) -> None:
    hall.finish(hall.submit(hall.panopto.add(Session(session_id(), access="login"))))
    assert len(hall.panopto.requests) > 2
    assert {asked.cookie for asked in hall.panopto.requests} == {None}
    rows = hall.sql("select to_jsonb(l) from public.lectures as l")
    assert "ASP.NET" not in json.dumps(rows)


@pytest.mark.parametrize(
    ("kind", "first", "expected"),
    [
        ("video/mp4", b"\x00\x00\x00\x20ftypisom", False),
        ("text/html", b"\x00\x00\x00\x20ftypisom", False),
        ("video/mp4", b"\xef\xbb\xbf\r\n <!DOCTYPE html>", True),
        ("application/octet-stream", b'{"error": 1}', True),
        ("text/html; charset=utf-8", b"Sign in", True),
        ("audio/mpeg", b"ID3\x04", False),
        ("application/octet-stream", b"\x1aE\xdf\xa3", False),
        ("application/octet-stream", b"#EXTM3U\n", True),
    ],
)
def test_pages_are_told_from_media(kind: str, first: bytes, expected: bool) -> None:
    assert is_page(kind, first) is expected

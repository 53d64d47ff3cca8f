"""From a link to a lecture that can be read, played and searched."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import httpx
import webvtt

from tests.standins.panopto.media import hear
from tests.support.lectures import Hall


def test_a_recording_becomes_sound_a_transcript_and_fragments(hall: Hall, tmp_path: Path) -> None:
    lecture = hall.submit()
    row = hall.finish(lecture, TRANSCRIPTION_PIECE_SECONDS="10")
    said = hall.panopto.said()
    assert (row["status"], row["ingest_status"], row["language"]) == ("completed", "ready", "en")
    assert (row["duration_seconds"], row["title"], row["error_message"]) == (32, "Hash tables", None)
    assert hall.files() == {
        f"audio/{lecture}.m4a",
        f"transcripts/{lecture}.json",
        f"transcripts/{lecture}.vtt",
    }

    media = hall.media(lecture)
    sound = httpx.get(media["audio_url"], timeout=30, trust_env=False).content
    assert sound[4:8] == b"ftyp"
    assert sound.index(b"moov") < sound.index(b"mdat"), "it plays while it loads"
    file = tmp_path / "sound.m4a"
    file.write_bytes(sound)
    seconds, heard = hear(str(file))
    assert abs(seconds - 31) < 0.1
    assert [burst.number for burst in heard] == [burst.number for burst in said]

    transcript = hall.transcript(lecture)
    assert (transcript["language"], transcript["duration_seconds"]) == ("en", 32)
    assert [part["text"] for part in transcript["segments"]] == [burst.text for burst in said]
    for part, burst in zip(transcript["segments"], said, strict=True):
        assert abs(part["start"] - burst.start) <= 0.5
        assert abs(part["end"] - burst.end) <= 0.5
    assert len(hall.model.requests) > 2, "it was sent in pieces"
    assert hall.heard() == [burst.number for burst in said], "cut at pauses, and heard once"

    captions = httpx.get(media["captions_url"], timeout=30, trust_env=False).text
    cues = webvtt.from_buffer(io.StringIO(captions)).captions
    assert [cue.text for cue in cues] == [burst.text for burst in said]
    chunks = hall.sql(
        "select content, start_second, end_second from private.source_chunks where lecture_id = %s order by ordinal",
        lecture,
    )
    assert chunks[0][0].startswith(said[0].text)
    assert abs(float(chunks[0][1]) - said[0].start) <= 0.5
    assert hall.notifications() == ["lecture_ready"]
    assert hall.sql("select count(*) from private.lecture_pieces") == [(0,)]


def test_progress_is_on_the_row_while_the_work_goes_on(hall: Hall) -> None:
    lecture = hall.submit()
    hall.sql(
        "create table if not exists private.seen (at serial, progress jsonb);"
        "create or replace function private.see() returns trigger language plpgsql as"
        " 'begin insert into private.seen (progress) values (new.progress); return null; end';"
        "create or replace trigger see after update of progress on public.lectures"
        " for each row execute function private.see()"
    )
    try:
        hall.finish(lecture, TRANSCRIPTION_PIECE_SECONDS="10")
        seen = [progress for (progress,) in hall.sql("select progress from private.seen order by at") if progress]
    finally:
        hall.sql("drop trigger see on public.lectures; drop function private.see(); drop table private.seen")
    stages = list(dict.fromkeys(progress["stage"] for progress in seen))
    assert stages == ["downloading", "encoding", "transcribing", "indexing"]
    assert all(set(progress) == {"stage", "done", "total"} for progress in seen)


def test_a_worker_does_not_load_ffmpeg() -> None:
    script = (
        "import sys, functions.worker.__main__\n"
        "from functions.worker.handlers import all_handlers\n"
        "assert 'lecture_download' in all_handlers().types\n"
        "assert 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

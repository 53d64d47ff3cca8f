"""Killed workers, lost leases, people who leave in the middle: nothing is done twice and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from functions.shared.folders import work_folder
from tests.standins.panopto import Session
from tests.support.canvas import Student
from tests.support.lectures import Hall, session_id
from tests.support.waiting import wait_until

FOLDER = "headstart-lecture-"
SETTINGS = {"TRANSCRIPTION_PIECE_SECONDS": "10"}
ALL_LINES = 10**9
# each attempt gets so many times the lines of the one before; 1.2 meets far more lines and takes minutes
KILL_GROWTH = float(os.environ.get("KILL_GROWTH", "5"))


def start(hall: Hall, lecture: str, lines: int = ALL_LINES, tmp: Path | None = None) -> subprocess.Popen[bytes]:
    """The lecture's waiting job in a process of its own, killed before that many lines of ours.

    Two jobs wait when a worker died after it had asked for the next stage: the older is the one to repeat.
    """
    (_, job_id), *_ = hall.live_jobs(lecture)
    hall.sql("update private.job_runtime set due_at = now(), state = 'ready' where job_id = %s", job_id)
    environment = {**os.environ, **hall.environment(**SETTINGS), **({"TMPDIR": str(tmp)} if tmp else {})}
    command = [sys.executable, "-m", "tests.support.lectures", job_id, "600", str(lines)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def forget_lease(hall: Hall) -> None:
    """Ends the leases of dead workers and hands their jobs out again."""
    hall.sql("update private.job_runtime set locked_until = now() - interval '1 s' where state = 'running'")
    hall.sql("select public.svc_reap_expired_jobs(100)")
    # a test has more deaths than a job has attempts
    hall.sql("update public.jobs set retry_count = 0 where status = 'queued' and type::text like 'lecture%%'")


def test_killed_at_many_lines_of_the_chain_it_comes_to_its_end(hall: Hall) -> None:
    lecture = hall.submit()
    lines, deaths = 4, 0
    stages: list[str] = []
    while jobs := hall.live_jobs(lecture):
        stage = jobs[0][0]
        if not stages or stages[-1] != stage:
            stages.append(stage)
            # the stage that is done needs none of its sources again
            hall.panopto.requests.clear()
            lines = 4
        process = start(hall, lecture, lines)
        code = process.wait(120)
        assert code in (0, -signal.SIGKILL)
        if code:
            deaths += 1
            lines = int(lines * KILL_GROWTH) + 7
            forget_lease(hall)
        if stage != "lecture_download":
            assert not any(asked.sent for asked in hall.panopto.requests), "a stored recording is not fetched again"
    assert stages == ["lecture_download", "lecture_transcription", "lecture_ingest"]
    assert deaths > 5
    assert hall.row(lecture)["status"] == "completed"
    said = [burst.number for burst in hall.panopto.said()]
    heard = hall.heard()
    assert sorted(set(heard)) == said
    assert len(heard) - len(said) <= 4 * 3, "only a piece that was under way is heard again"
    assert [part["text"] for part in hall.transcript(lecture)["segments"]] == [b.text for b in hall.panopto.said()]
    assert hall.files() == {f"audio/{lecture}.m4a", f"transcripts/{lecture}.json", f"transcripts/{lecture}.vtt"}
    assert hall.notifications() == ["lecture_ready"]
    assert hall.sql("select used from private.usage_counters where user_id = %s", hall.person.user_id) == [(1,)]


def test_a_worker_killed_in_the_middle_of_the_download(hall: Hall, tmp_path: Path) -> None:
    hall.panopto.faults = ["slow"]
    lecture = hall.submit()
    process = start(hall, lecture, tmp=tmp_path)
    wait_until(lambda: hall.panopto.media_sent() > 20_000)
    process.kill()
    process.wait()
    left = [folder for folder in tmp_path.iterdir() if folder.name.startswith(FOLDER)]
    assert left, "a killed worker cannot clean up"
    forget_lease(hall)
    assert hall.finish(lecture, **SETTINGS)["status"] == "completed"


def test_what_dead_workers_left_on_disk_goes_a_day_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old, fresh, other = (tmp_path / name for name in (f"{FOLDER}old", f"{FOLDER}new", "other"))
    for folder in (old, fresh, other):
        folder.mkdir()
        (folder / "media").write_text("x")
    for folder in (old, other):
        os.utime(folder, (1, 1))
    with work_folder("lecture") as folder:
        assert folder.parent == tmp_path
        assert {path.name for path in tmp_path.iterdir()} == {fresh.name, other.name, folder.name}
    assert not folder.exists()


def test_the_last_person_leaves_during_the_transcription(hall: Hall) -> None:
    lecture = hall.submit()
    hall.step(lecture)
    hall.model.say(default="hang")
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(hall.step(lecture)))
    thread.start()
    wait_until(lambda: hall.model.requests)
    gone = hall.person.rest.delete("/user_lectures", params={"lecture_id": f"eq.{lecture}"})
    assert gone.status_code in (200, 204)
    thread.join(60)
    assert not thread.is_alive()
    assert outcome[0].result == {"lecture_id": lecture, "status": "gone"}
    assert nothing_is_left(hall, lecture)


@pytest.mark.parametrize("stage", ["lecture_download", "lecture_transcription"])
def test_the_last_person_leaves_just_before_the_result_is_stored(
    hall: Hall, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.lectures.work import Work

    lecture = hall.submit()
    if stage == "lecture_transcription":
        hall.step(lecture)
    upload = Work.upload

    def upload_and_leave(work: Work, key: str, *rest: object) -> None:
        upload(work, key, *rest)  # type: ignore[arg-type]
        hall.person.rest.delete("/user_lectures", params={"lecture_id": f"eq.{lecture}"})

    monkeypatch.setattr(Work, "upload", upload_and_leave)
    ended = hall.step(lecture, **SETTINGS)
    assert ended.result == {"lecture_id": lecture, "status": "gone"}
    assert nothing_is_left(hall, lecture)


def nothing_is_left(hall: Hall, lecture: str) -> bool:
    """After the sweep of files whose row is gone, nothing of the lecture is there."""
    for bucket, name in hall.sql(
        "select split_part(storage_key, '/', 1), split_part(storage_key, '/', 2) from private.storage_deletions"
        " where done_at is null"
    ):
        hall.drop(bucket, name)
    left = hall.sql(
        "select count(*) from public.lectures where id = %s"
        " union all select count(*) from private.lecture_pieces where lecture_id = %s"
        " union all select count(*) from private.lecture_charges where lecture_id = %s",
        lecture,
        lecture,
        lecture,
    )
    return left == [(0,)] * 3 and hall.files() == set() and hall.notifications() == []


def test_one_of_two_people_leaves_and_the_work_goes_on(hall: Hall, stranger: Student) -> None:
    lecture = hall.submit()
    hall.submit(None, stranger)
    hall.step(lecture)
    hall.person.rest.delete("/user_lectures", params={"lecture_id": f"eq.{lecture}"})
    while hall.live_jobs(lecture):
        hall.step(lecture)
    assert hall.row(lecture, stranger)["status"] == "completed"
    assert (hall.notifications(), hall.notifications(stranger)) == ([], ["lecture_ready"])


def test_a_worker_that_was_believed_dead_changes_nothing(hall: Hall) -> None:
    """It wakes up when another one has done its work."""
    hall.panopto.faults = ["slow"]
    lecture = hall.submit()
    process = start(hall, lecture)
    wait_until(lambda: hall.panopto.media_sent() > 20_000)
    process.send_signal(signal.SIGSTOP)
    forget_lease(hall)
    row = hall.finish(lecture, **SETTINGS)
    process.send_signal(signal.SIGCONT)
    process.wait(60)
    assert hall.row(lecture) == row
    assert len(hall.files()) == 3
    assert hall.notifications() == ["lecture_ready"]
    assert hall.live_jobs(lecture) == []


def test_a_lecture_whose_job_died_for_good_is_failed_by_the_sweep(hall: Hall) -> None:
    lecture = hall.submit()
    hall.step(lecture)
    hall.sql("select private.end_live_job(id) from public.jobs where type = 'lecture_transcription'")
    hall.sql("select public.svc_sweep_generations()")
    row = hall.row(lecture)
    assert (row["status"], row["error_message"].partition(":")[0]) == ("failed", "interrupted")
    assert row["audio_storage_key"] is None
    assert hall.notifications() == ["lecture_failed"]
    assert hall.sql("select used from private.usage_counters where user_id = %s", hall.person.user_id) == [(0,)]


def test_a_file_of_an_earlier_life_is_not_deleted_under_the_new_one(hall: Hall) -> None:
    """The file of a failed lecture waits to be deleted when the lecture is tried again, under the same name."""
    session = Session(session_id(), captions=None)
    lecture = hall.submit(hall.panopto.add(session))
    hall.step(lecture)
    hall.model.say("401")
    hall.step(lecture)
    waiting = "select count(*) from private.storage_deletions where storage_key = %s and done_at is null"
    assert hall.sql(waiting, f"audio/{lecture}.m4a") == [(1,)]
    hall.person.functions.post(f"/lectures/{lecture}/retry")
    assert hall.finish(lecture)["status"] == "completed"
    assert hall.sql(waiting, f"audio/{lecture}.m4a") == [(0,)]


def test_a_file_that_is_being_deleted_is_waited_for(hall: Hall) -> None:
    lecture = hall.submit()
    hall.step(lecture)
    hall.model.say("401")
    hall.step(lecture)
    ((claimed,),) = hall.sql("select id from public.svc_claim_storage_deletions(10)")
    before = hall.panopto.media_sent()
    hall.person.functions.post(f"/lectures/{lecture}/retry")
    # the clock of the test jumps over waits, so the work gives up waiting and the queue asks again
    failure = hall.step(lecture).failure
    assert failure is not None
    assert failure.code == "service_unavailable"
    assert hall.panopto.media_sent() == before, "nothing is fetched before"
    hall.sql("select public.svc_finish_storage_deletion(%s)", claimed)
    assert hall.finish(lecture)["status"] == "completed"

"""The worker as a real process on the real platform: ends, failures, deadlines, signals, death, bad lines."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from scripts.native.paths import REPO
from scripts.native.stack import Stack
from tests.functions.worker.conftest import Desk, Hire
from tests.support.bad_line import BadLine
from tests.support.people import persona
from tests.support.waiting import wait_until
from tests.support.workers import statuses


def test_a_job_is_done_and_its_result_kept(desk: Desk, hire: Hire) -> None:
    hire()
    plain, silent = desk.enqueue("succeed", n=1), desk.enqueue("say_nothing")
    row = desk.wait(plain, "succeeded")
    assert row["result"] == {"payload": {"do": "succeed", "log": str(desk.log), "n": 1}, "attempt": 1}
    assert row["started_at"] <= row["completed_at"]
    assert desk.wait(silent, "succeeded")["result"] is None


def test_what_postgres_cannot_store_is_left_out_of_results(desk: Desk, hire: Hire) -> None:
    hire()
    nul, strange = desk.enqueue("write_nul"), desk.enqueue("write_strange")
    assert desk.wait(nul, "succeeded")["result"] == {"ab": ["cd", "?", {"e": "f"}]}
    assert desk.wait(strange, "succeeded")["result"] == {"path": "x", "number": None}


def test_a_result_that_cannot_be_written_down_is_a_failure(desk: Desk, hire: Hire) -> None:
    hire()
    row = desk.wait(desk.enqueue("write_huge", max_retries=0), "failed")
    assert row["error_code"] == "internal"
    desk.wait(desk.enqueue("succeed"), "succeeded")


def test_a_finished_job_does_not_wait_for_an_idle_worker(desk: Desk, hire: Hire, line: BadLine, tmp_path: Path) -> None:
    line.chance("svc_claim_jobs", "nothing", 1.0)
    hire(SUPABASE_URL=line.url, WORKER_POLL_SECONDS="30")
    job_id = desk.enqueue("wait_for", file=str(tmp_path / "go"))
    desk.wait(job_id, "running")
    # after so many claims in vain, the next is at least 1.5 s away
    line.done.clear()
    wait_until(lambda: line.done["svc_claim_jobs", "nothing"] >= 6)
    (tmp_path / "go").touch()
    desk.wait(job_id, "succeeded", seconds=1.0)


def test_one_result_that_the_database_refuses_ends_in_failure_alone(
    desk: Desk, hire: Hire, line: BadLine, tmp_path: Path
) -> None:
    desk.db.execute(
        "alter table public.jobs add constraint refused check (result #>> '{payload,refused}' is null) not valid"
    )
    try:
        worker = hire(SUPABASE_URL=line.url)
        first, then = tmp_path / "first", tmp_path / "then"
        good = [desk.enqueue("wait_for", file=str(file)) for file in (first, then, then)]
        bad = desk.enqueue("wait_for", file=str(then), refused=True, max_retries=0)
        for job_id in [*good, bad]:
            desk.wait(job_id, "running")
        # while the first is handed in again and again, the others end: they go together
        line.chance("svc_complete_jobs", "refuse", 1.0)
        first.touch()
        wait_until(lambda: line.done["svc_complete_jobs", "refuse"] > 0)
        then.touch()
        time.sleep(0.2)
        line.chance("svc_complete_jobs", "refuse", 0.0)
        row = desk.wait(bad, "failed")
        assert (row["error_code"], row["error_message"]) == ("internal", "Its result could not be stored.")
        for job_id in good:
            assert desk.wait(job_id, "succeeded")["retry_count"] == 0
        assert worker.logged().count("completion_refused") == 1
        assert len(desk.attempts()) == 4
        desk.wait(desk.enqueue("succeed"), "succeeded")
    finally:
        desk.db.execute("alter table public.jobs drop constraint refused")


def test_a_failure_that_may_pass_is_tried_again_later(desk: Desk, hire: Hire) -> None:
    hire()
    job_id = desk.enqueue("fail", code="busy", retry_after_s=120)
    wait_until(lambda: desk.job(job_id)["retry_count"] == 1)
    row = desk.job(job_id)
    assert (row["status"], row["error_code"], row["error_message"]) == ("queued", "busy", "It broke.")
    assert row["scheduled_at"] - row["started_at"] >= timedelta(seconds=120)
    detail = desk.db.execute("select error_detail from private.job_runtime where job_id = %s", (job_id,)).fetchone()
    assert detail == ("in a test",)


def test_a_permanent_failure_and_a_last_attempt_are_final(desk: Desk, hire: Hire) -> None:
    hire()
    permanent, last = desk.enqueue("fail", retryable=False), desk.enqueue("fail", max_retries=0)
    for job_id in (permanent, last):
        row = desk.wait(job_id, "failed")
        assert (row["error_code"], row["retry_count"]) == ("broken", 0)
    assert len(desk.attempts()) == 2


def test_a_job_that_lacks_a_secret_is_not_repeated(desk: Desk, hire: Hire) -> None:
    hire()
    row = desk.wait(desk.enqueue("lack_a_key"), "failed")
    assert (row["error_code"], row["retry_count"], len(desk.attempts())) == ("secret_unreadable", 0, 1)


def test_a_crash_tells_the_owner_nothing(desk: Desk, hire: Hire) -> None:
    hire()
    row = desk.wait(desk.enqueue("crash", max_retries=0), "failed")
    assert (row["error_code"], row["error_message"]) == ("internal", "Something went wrong on our side.")
    found = desk.db.execute("select error_detail from private.job_runtime where job_id = %s", (row["id"],)).fetchone()
    assert found == ("builtins.ZeroDivisionError",)


def test_a_hanging_attempt_is_ended_and_its_slot_freed(desk: Desk, hire: Hire) -> None:
    hire(concurrency=1, JOB_LEASE_SECONDS="2")
    hanging = desk.enqueue("hang", seconds=60, timeout_s=1, max_retries=0)
    row = desk.wait(hanging, "failed")
    assert row["error_code"] == "deadline_exceeded"
    assert row["completed_at"] - row["started_at"] < timedelta(seconds=4)
    desk.wait(desk.enqueue("succeed"), "succeeded")


def test_an_attempt_that_looks_up_ends_at_its_deadline(desk: Desk, hire: Hire) -> None:
    hire()
    row = desk.wait(desk.enqueue("step", seconds=60, timeout_s=1, max_retries=0), "failed")
    assert row["error_code"] == "deadline_exceeded"


def test_progress_is_shown_and_the_owner_can_end_it(desk: Desk, hire: Hire) -> None:
    hire(JOB_LEASE_SECONDS="2")
    me = persona(desk.db)
    try:
        job_id = desk.enqueue("step", seconds=60, user_id=me)
        wait_until(lambda: desk.job(job_id)["progress"].get("steps", 0) > 2)
        desk.db.execute("select private.end_live_job(%s)", (job_id,))
        row = desk.wait(job_id, "cancelled", seconds=5)
        assert (row["error_code"], row["retry_count"]) == ("cancelled", 0)
    finally:
        desk.db.execute("delete from auth.users where id = %s", (me,))


def test_work_longer_than_a_lease_keeps_it(desk: Desk, hire: Hire) -> None:
    for _ in range(2):
        hire(concurrency=2, JOB_LEASE_SECONDS="1")
    job_ids = [desk.enqueue("hang", seconds=3) for _ in range(2)]
    for job_id in job_ids:
        assert desk.wait(job_id, "succeeded")["retry_count"] == 0
    assert len(desk.attempts()) == 2


def test_jobs_of_one_claim_are_kept_each_for_itself(desk: Desk, hire: Hire) -> None:
    job_ids = [desk.enqueue("hang", seconds=2.5) for _ in range(4)]
    hire(concurrency=3, JOB_LEASE_SECONDS="1")
    wait_until(lambda: len(desk.attempts()) == 3)
    for job_id in job_ids:
        assert desk.wait(job_id, "succeeded")["retry_count"] == 0
    assert len(desk.attempts()) == 4


def test_term_lets_running_work_end(desk: Desk, hire: Hire) -> None:
    worker = hire()
    job_id = desk.enqueue("hang", seconds=1.5)
    desk.wait(job_id, "running")
    worker.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    later = desk.enqueue("succeed")
    assert worker.process.wait(10) == 0
    assert desk.job(job_id)["status"] == "succeeded"
    assert desk.job(later)["status"] == "queued"


@pytest.mark.parametrize("fault", ["refuse", "lose"])
def test_what_ends_while_the_worker_stops_is_handed_in(desk: Desk, hire: Hire, line: BadLine, fault: str) -> None:
    worker = hire(SUPABASE_URL=line.url)
    job_ids = [desk.enqueue("hang", seconds=seconds) for seconds in (1, 1.5)]
    for job_id in job_ids:
        desk.wait(job_id, "running")
    line.next("svc_complete_jobs", fault, times=3)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(10) == 0
    for job_id in job_ids:
        row = desk.job(job_id)
        assert (row["status"], row["retry_count"]) == ("succeeded", 0)
    assert line.done["svc_complete_jobs", fault] == 3


def test_a_worker_stops_in_time_though_the_database_is_away(desk: Desk, hire: Hire, line: BadLine) -> None:
    worker = hire(SUPABASE_URL=line.url, WORKER_GRACE_SECONDS="1")
    finished, hanging = desk.enqueue("hang", seconds=0.5), desk.enqueue("hang", seconds=60)
    desk.wait(finished, "running")
    desk.wait(hanging, "running")
    line.chance("/rest/", "refuse", 1.0)
    wait_until(lambda: line.done["/rest/", "refuse"] > 2)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(4) == 0
    assert desk.job(finished)["status"] == desk.job(hanging)["status"] == "running"


@pytest.mark.parametrize("do", ["hang", "step"])
def test_term_gives_back_what_takes_longer_than_the_grace(desk: Desk, hire: Hire, do: str) -> None:
    worker = hire(WORKER_GRACE_SECONDS="0.5")
    job_id = desk.enqueue(do, seconds=60)
    desk.wait(job_id, "running")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(10) == 0
    row = desk.job(job_id)
    assert (row["status"], row["retry_count"]) == ("queued", 0)


def test_a_second_term_leaves_at_once(desk: Desk, hire: Hire) -> None:
    worker = hire(WORKER_GRACE_SECONDS="60")
    job_id = desk.enqueue("hang", seconds=60)
    desk.wait(job_id, "running")
    worker.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert worker.process.poll() is None
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(2) == 128 + signal.SIGTERM
    assert desk.job(job_id)["status"] == "running"


def test_jobs_of_a_killed_worker_run_again_within_a_lease_and_a_third(desk: Desk, hire: Hire) -> None:
    lease = 6  # a third of it is what a busy machine may take
    dying = hire(JOB_LEASE_SECONDS=str(lease))
    job_ids = [desk.enqueue("hang", seconds=7) for _ in range(3)]
    wait_until(lambda: statuses(desk.stack.db_url).get("running") == 3)
    hire(JOB_LEASE_SECONDS=str(lease))
    dying.process.kill()
    killed_at = time.monotonic()
    wait_until(lambda: len(desk.attempts()) == 6, seconds=20)
    assert time.monotonic() - killed_at < 1.34 * lease
    for job_id in job_ids:
        assert desk.wait(job_id, "succeeded")["retry_count"] == 1


@pytest.mark.parametrize("fault", ["refuse", "break", "lose", "late"])
def test_a_bad_line_loses_nothing_and_does_nothing_twice(desk: Desk, hire: Hire, line: BadLine, fault: str) -> None:
    done = [desk.enqueue("succeed") for _ in range(4)]
    failed = desk.enqueue("fail", retryable=False)
    for call in ("svc_claim_jobs", "svc_complete_jobs", "svc_fail_job"):
        line.next(call, fault, times=2)
    hire(SUPABASE_URL=line.url)
    for job_id in done:
        row = desk.wait(job_id, "succeeded")
        assert (row["retry_count"], row["result"]["attempt"]) == (0, 1)
    assert desk.wait(failed, "failed")["retry_count"] == 0
    wait_until(lambda: sum(line.done.values()) == 6)
    assert len(desk.attempts()) == 5


@pytest.mark.parametrize("fault", ["refuse", "lose"])
def test_a_finished_job_does_not_wait_for_claims_in_trouble(
    desk: Desk, hire: Hire, line: BadLine, tmp_path: Path, fault: str
) -> None:
    hire(concurrency=2, SUPABASE_URL=line.url)
    finishes = desk.enqueue("wait_for", file=str(tmp_path / "go"))
    desk.wait(finishes, "running")
    line.chance("svc_claim_jobs", fault, 1.0)
    waits = desk.enqueue("succeed")
    wait_until(lambda: line.done["svc_claim_jobs", fault] >= 5)
    (tmp_path / "go").touch()
    desk.wait(finishes, "succeeded", seconds=1.0)
    line.chance("svc_claim_jobs", fault, 0.0)
    # what was leased in an answer that never came is taken up by the claim that follows
    assert desk.wait(waits, "succeeded")["retry_count"] == 0
    assert len(desk.attempts()) == 2


def test_a_claim_that_hangs_lets_no_lease_run_out(desk: Desk, hire: Hire) -> None:
    hire(JOB_LEASE_SECONDS="1")
    long, short = desk.enqueue("hang", seconds=4), desk.enqueue("hang", seconds=0.5)
    desk.wait(long, "running")
    desk.wait(short, "running")
    with psycopg.connect(desk.stack.db_url) as db:
        db.execute("lock table private.provider_buckets in access exclusive mode")
        time.sleep(2.5)
        kept = db.execute(
            "select count(*) from private.job_runtime where job_id = any (%s) and locked_until > clock_timestamp()",
            ([long, short],),
        ).fetchone()
    assert kept == (2,)
    for job_id in (long, short):
        assert desk.wait(job_id, "succeeded")["retry_count"] == 0
    assert len(desk.attempts()) == 2


def test_a_job_that_comes_back_to_its_worker_is_another_attempt(desk: Desk, hire: Hire, line: BadLine) -> None:
    worker = hire(SUPABASE_URL=line.url, JOB_LEASE_SECONDS="1")
    line.chance("svc_heartbeat_jobs", "refuse", 1.0)
    job_id = desk.enqueue("hang", seconds=4)
    wait_until(lambda: len(desk.attempts()) == 2)
    line.chance("svc_heartbeat_jobs", "refuse", 0.0)
    wait_until(lambda: "completed too late" in worker.logged())
    assert desk.job(job_id)["status"] == "running"
    assert desk.wait(job_id, "succeeded")["retry_count"] == 1
    assert len(desk.attempts()) == 2


def test_a_line_that_is_dead_for_longer_than_a_lease_does_not_end_the_worker(
    desk: Desk, hire: Hire, line: BadLine
) -> None:
    worker = hire(SUPABASE_URL=line.url, JOB_LEASE_SECONDS="1")
    running = desk.enqueue("step", seconds=60)
    desk.wait(running, "running")
    line.chance("/rest/", "refuse", 1.0)
    wait_until(lambda: "lease_lost" in worker.logged())
    line.chance("/rest/", "refuse", 0.0)
    desk.db.execute("select private.end_live_job(%s)", (running,))
    desk.wait(running, "cancelled")
    desk.wait(desk.enqueue("succeed"), "succeeded")


def test_its_numbers(desk: Desk, hire: Hire, line: BadLine) -> None:
    desk.db.execute("delete from public.jobs where type = 'brand_package'")
    worker = hire(SUPABASE_URL=line.url)
    desk.wait(desk.enqueue("succeed"), "succeeded")
    desk.wait(desk.enqueue("fail", retryable=False), "failed")
    desk.db.execute("select * from public.svc_enqueue_job('brand_package')")
    assert worker.get("/healthz").json() == {"status": "ok"}
    text = worker.get("/metrics").text
    assert 'headstart_job_runs_total{outcome="succeeded",type="week_notes"} 1.0' in text
    assert 'headstart_job_runs_total{outcome="failed",type="week_notes"} 1.0' in text
    assert "headstart_job_leases_lost_total 0.0" in text
    assert 'headstart_jobs_queued{type="brand_package"} 1.0' in text
    assert 'headstart_jobs_queued{type="week_notes"} 0.0' in text
    assert 'headstart_jobs_oldest_seconds{type="week_notes"} 0.0' in text
    assert worker.get("/nothing").status_code == 404
    # no answer is not an empty queue
    line.chance("svc_count_waiting_jobs", "refuse", 1.0)
    assert 'headstart_jobs_queued{type="week_notes"} -1.0' in worker.get("/metrics").text
    desk.db.execute("delete from public.jobs where type = 'brand_package'")


def test_its_lines_are_json_without_secrets(desk: Desk, hire: Hire, stack: Stack) -> None:
    worker = hire()
    job_id = desk.enqueue("crash", max_retries=0)
    desk.wait(job_id, "failed")
    wait_until(lambda: "job_ended" in worker.logged())
    lines = [json.loads(line) for line in worker.logged().splitlines()]
    assert any(line.get("job_id") == str(job_id) and line.get("attempt") == 1 for line in lines)
    for secret in (stack.keys.secret_key, stack.service_token, "secret words"):
        assert secret not in worker.logged()


def test_types_without_a_handler_are_refused(stack: Stack) -> None:
    command = [sys.executable, "-m", "functions.worker", "--types", "brand_package,no_such_type"]
    ended = subprocess.run(
        command, env=stack.service_environment(), cwd=REPO, capture_output=True, timeout=20, check=False
    )
    assert ended.returncode == 2
    assert b"no_such_type" in ended.stderr


def test_the_secret_key_is_needed(stack: Stack) -> None:
    answer = httpx.post(
        f"{stack.url}/rest/v1/rpc/svc_claim_jobs",
        headers={"apikey": stack.keys.publishable_key},
        json={"p_worker": "x", "p_types": ["week_notes"], "p_limit": 1},
    )
    assert answer.status_code in (401, 403)

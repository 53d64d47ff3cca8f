"""A week's numbers over HTTP, and the jobs that the clock starts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.programme import jobs
from functions.shared.database import rpc_row, run
from functions.shared.jobs import JobFailure
from scripts.native.stack import Stack
from tests.support.canvas import Runner, Student
from tests.support.chat import add


@pytest.fixture
def worker(stack: Stack) -> Iterator[Runner]:
    given = Runner({**stack.service_environment(), "WEEKS_ARCHIVE_AFTER_DAYS": "365"}, jobs)
    yield given
    given.close()


def day(offset: int) -> str:
    """A day counted from today, in UTC, which is the zone of new people."""
    return (datetime.now(UTC) + timedelta(days=offset)).date().isoformat()


def week(person: Student, number: int, first: int, last: int, **more: Any) -> str:
    return add(person, "weeks", week_number=number, start_date=day(first), end_date=day(last), **more)


def scheduled(worker: Runner, kind: str) -> str:
    row = rpc_row(worker.database.service(), "svc_enqueue_job", {"p_type": kind})
    return str(row["job_id"])


def test_the_clock_moves_measures_and_archives_weeks(person: Student, stranger: Student, worker: Runner) -> None:
    mine = {
        "begins": week(person, 1, 0, 6),
        "missed": week(person, 2, -14, -8),
        "old": week(person, 3, -400, -394),
        "later": week(person, 4, 2, 8),
    }
    theirs = week(stranger, 1, 0, 6)
    block = add(person, "study_blocks", start_at=f"{day(0)}T00:00:00Z", end_at=f"{day(0)}T01:30:00Z")
    assert person.rest.patch("/study_blocks", params={"id": f"eq.{block}"}, json={"status": "completed"}).is_success
    ended = worker.run(scheduled(worker, "week_advance"))
    assert ended.failure is None
    assert ended.result
    assert ended.result["activated"] >= 3
    shown = {row["id"]: row for row in person.rows("weeks")}
    states = {name: shown[one]["status"] for name, one in mine.items()}
    assert states == {"begins": "active", "missed": "completed", "old": "archived", "later": "planned"}
    assert shown[mine["begins"]]["completion_percentage"] == 100
    assert stranger.rows("weeks", id=f"eq.{theirs}")[0]["completion_percentage"] == 0

    # the numbers: of one's own weeks alone, of no archived one
    kpis = person.functions.post(f"/programme/weeks/{mine['begins']}/kpis")
    assert kpis.status_code == 200, kpis.text
    assert [row["metric_name"] for row in kpis.json()] == [
        "hours_worked", "completion", "questions_asked", "study_blocks_kept"
    ]  # fmt: skip
    assert kpis.json()[0]["current_value"] == 1.5
    assert {row["id"] for row in kpis.json()} == {row["id"] for row in person.rows("kpi_metrics")}
    assert stranger.functions.post(f"/programme/weeks/{mine['begins']}/kpis").json()["code"] == "not_found"
    assert person.functions.post(f"/programme/weeks/{mine['old']}/kpis").json()["code"] == "week_archived"


def test_the_night_measures_once_however_often_its_job_runs(person: Student, worker: Runner) -> None:
    mine = week(person, 1, 0, 6, status="active")
    job = worker.claim(scheduled(worker, "kpi_refresh"))
    stopped = iter([None, JobFailure("deadline_exceeded", "killed here")])

    def check() -> None:
        if (failure := next(stopped, None)) is not None:
            raise failure

    with pytest.raises(JobFailure):
        worker.handle(job, on_check=check)
    first = person.rows("kpi_metrics", week_id=f"eq.{mine}")
    assert {row["metric_name"] for row in first} == {"hours_worked", "completion", "questions_asked"}
    assert worker.handle(job)
    assert person.rows("kpi_metrics", week_id=f"eq.{mine}") == first
    made = run(worker.database.service().from_("jobs").select("created_at").eq("id", job.job_id))
    assert {row["recorded_at"] for row in first} == {made[0]["created_at"]}

"""Runs against a catalogue on a port and a real database."""

from __future__ import annotations

import httpx
import psycopg
import pytest

from functions.catalog_sync import jobs
from scripts.native.stack import Stack
from tests.functions.catalog_sync.conftest import Runs
from tests.standins.canvas import PLAIN
from tests.standins.catalogue import FALL, SPRING, CatalogueStandIn, Course
from tests.support.canvas import Runner, Student

COURSES = 22  # of both terms, see SUBJECTS


def test_a_first_run_brings_every_course_and_a_second_changes_nothing(runs: Runs, catalogue: CatalogueStandIn) -> None:
    first = runs.result()
    assert first == {
        "terms": [FALL, SPRING],
        "seen": COURSES,
        "inserted": COURSES,
        "updated": 0,
        "unchanged": 0,
        "restored": 0,
        "retired": 0,
        "deleted": 0,
        "skipped": [],
        "skipped_count": 0,
        "dry_run": False,
        "note": None,
    }
    assert runs.courses()["CSC 141"]["title"] == "AI & Society"
    assert {**first, "inserted": 0, "unchanged": COURSES} == runs.result()
    assert catalogue.asked == [FALL, SPRING] * 2


def test_progress_shows_the_terms(runs: Runs) -> None:
    assert runs.run().progress[-1] == {"terms_done": 2, "terms_total": 2}


def test_a_dry_run_says_what_would_happen_and_does_nothing(runs: Runs, catalogue: CatalogueStandIn) -> None:
    report = runs.result(dry_run=True)
    assert (report["inserted"], report["dry_run"], runs.courses()) == (COURSES, True, {})
    runs.result()
    drop(catalogue, "CSC 101", "MTH 101")
    add(catalogue, Course("CSC 499-1", "Thesis"))
    before = runs.courses()
    dry = runs.result(dry_run=True)
    assert (dry["inserted"], dry["retired"], dry["unchanged"]) == (1, 2, COURSES - 2)
    assert runs.courses() == before
    assert {**dry, "dry_run": False} == runs.result()
    assert "CSC 101" not in runs.live()


def test_sections_and_terms_are_one_course(runs: Runs, catalogue: CatalogueStandIn) -> None:
    catalogue.terms[FALL] = [Course("zzk173-01-LAB", "Zoo", "B; A"), Course("ZZK 173-FA.MB", "Ark", "C")]
    catalogue.terms[SPRING] = [Course("ZZK-173", "Boat", "A;  D")]
    assert runs.result()["seen"] == 1
    row = runs.courses()["ZZK 173"]
    assert (row["title"], row["instructor"]) == ("Ark", "A; B; C; D")


def test_odd_courses_are_reported_and_the_others_come(runs: Runs, catalogue: CatalogueStandIn) -> None:
    runs.result()
    odd = [Course(None, "Nameless"), Course("Q" * 60, "T"), Course("CSC 101-9", "t" * 501), Course("ZZL 5", None)]
    drop(catalogue, "CSC 101")
    add(catalogue, *odd, Course("ZZL 6", "'; drop table x; -- \u202e <b>", "x" * 501))
    report = runs.result()
    assert {(each["text"], each["reason"]) for each in report["skipped"]} == {
        ("Nameless", "code_missing"),
        ("Q" * 60, "code_too_long"),
        ("CSC 101", "title_too_long"),
        ("ZZL 5", "title_missing"),
        ("ZZL 6", "instructors_too_long"),
    }
    assert (report["inserted"], report["retired"]) == (1, 0)
    # it is still listed, so it stays, with the title that it had
    assert runs.courses()["CSC 101"]["title"] == "Introduction to Programming"
    assert "ZZL 5" not in runs.courses()


@pytest.mark.parametrize("fault", ["broken", "cut", "dtd", "web_page", "huge", "bomb", "elsewhere", "gone"])
def test_a_bad_answer_for_one_term_changes_nothing(runs: Runs, catalogue: CatalogueStandIn, fault: str) -> None:
    runs.result()
    catalogue.faults[SPRING] = fault
    assert runs.failure() == "catalog_bad_answer"
    assert runs.failure(confirm_removals=True) == "catalog_bad_answer"


def test_a_school_that_is_down_changes_nothing(runs: Runs, catalogue: CatalogueStandIn) -> None:
    runs.result()
    catalogue.faults[SPRING] = "down"
    ended = runs.run(confirm_removals=True)
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == ("catalog_unavailable", True)


def test_a_term_without_a_course_changes_nothing_even_when_confirmed(runs: Runs, catalogue: CatalogueStandIn) -> None:
    runs.result()
    catalogue.faults[SPRING] = "empty"
    assert runs.failure() == "catalog_guard"
    assert runs.failure(confirm_removals=True) == "catalog_guard"
    assert runs.failure(terms=[FALL, "Winter 1901"]) == "catalog_guard"


def test_a_fifth_may_go_and_more_needs_a_word(runs: Runs, catalogue: CatalogueStandIn) -> None:
    runs.result()
    drop(catalogue, "CSC 101", "MTH 101", "PSY 101", "HIS 101")
    assert runs.result()["retired"] == 4  # of 22
    drop(catalogue, "CSC 111", "MTH 111", "PSY 111", "HIS 111")
    assert runs.failure() == "catalog_guard"  # 4 of 18
    assert runs.failure(dry_run=True) == "catalog_guard"
    report = runs.result(confirm_removals=True)
    assert (report["retired"], len(runs.live())) == (4, 14)


def test_half_of_a_department_may_go_and_more_needs_a_word(runs: Runs, catalogue: CatalogueStandIn) -> None:
    runs.result()
    drop(catalogue, "DAN 101", "DAN 111")
    assert runs.result()["retired"] == 2, "a department of two may close"
    drop(catalogue, "PSY 101", "PSY 111")
    assert runs.result()["retired"] == 2, "2 of 5"
    drop(catalogue, "PSY 121", "PSY 131")
    assert runs.result()["retired"] == 2, "a department of three is small"
    drop(catalogue, "HIS 101", "HIS 111", "HIS 121")
    ended = runs.run()
    assert ended.failure is not None
    assert ended.failure.code == "catalog_guard"
    assert "more than half of HIS" in ended.failure.message
    assert runs.result(confirm_removals=True)["retired"] == 3


def test_a_course_that_returns_is_restored(runs: Runs, catalogue: CatalogueStandIn) -> None:
    runs.result()
    before = {term: list(courses) for term, courses in catalogue.terms.items()}
    drop(catalogue, "CSC 101")
    runs.result()
    catalogue.terms.update(before)
    assert runs.result()["restored"] == 1


def test_a_deployment_without_a_catalogue_does_nothing_and_says_so(runs: Runs) -> None:
    runner = Runner({**runs.environment, "CATALOG_URL": ""}, jobs)
    ended = runner.run(runs.job())
    runner.close()
    assert ended.failure is None
    assert ended.result is not None
    assert (ended.result["seen"], ended.result["terms"]) == (0, [])
    assert "CATALOG_URL" in ended.result["note"]
    assert runs.courses() == {}


# ---- over HTTP ----------------------------------------------------------------------------------------------------


def test_only_administration_starts_a_run(stack: Stack, person: Student) -> None:
    refused = person.functions.post("/catalog-sync/runs", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    nobody = httpx.post(f"{stack.functions_url}/catalog-sync/runs", json={}, verify=PLAIN)
    assert nobody.status_code == 401


def test_a_deployment_without_a_catalogue_starts_no_run(stack: Stack) -> None:
    with httpx.Client(headers={"apikey": stack.keys.secret_key}, verify=PLAIN) as client:
        answer = client.post(f"{stack.functions_url}/catalog-sync/runs", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "catalog_not_configured")


@pytest.mark.parametrize(
    "body",
    [
        {"terms": []},
        {"terms": [""]},
        {"terms": ["x" * 101]},
        {"terms": ["x"] * 21},
        {"terms": "Fall"},
        {"dry_run": "maybe"},
        {"unknown": 1},
    ],
)
def test_a_bad_request_starts_nothing(administration: httpx.Client, body: dict[str, object]) -> None:
    answer = administration.post("/catalog-sync/runs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_a_run_is_queued_and_the_same_one_is_joined(administration: httpx.Client, runs: Runs) -> None:
    first = administration.post("/catalog-sync/runs", json={"terms": [FALL, f" {FALL} "], "dry_run": True})
    again = administration.post("/catalog-sync/runs", json={"terms": [FALL], "dry_run": True})
    other = administration.post("/catalog-sync/runs", json={"terms": [FALL]})
    assert [answer.status_code for answer in (first, again, other)] == [202] * 3
    assert first.json() == again.json() != other.json()
    job = runs.rest.get("/jobs", params={"id": f"eq.{first.json()['job_id']}"}).json()[0]
    assert (job["type"], job["user_id"], job["max_retries"]) == ("catalog_sync", None, 0)


def test_the_night_has_a_schedule(stack: Stack) -> None:
    with psycopg.connect(stack.db_url) as db:
        row = db.execute(
            "select cron, type::text, payload, catch_up from private.job_schedules where name = 'catalog_sync'"
        ).fetchone()
    assert row == ("40 3 * * *", "catalog_sync", {}, "skip")


def drop(catalogue: CatalogueStandIn, *codes: str) -> None:
    """Takes courses out of every term."""
    for term, listed in catalogue.terms.items():
        catalogue.terms[term] = [
            c for c in listed if c.cn is None or not c.cn.startswith(tuple(f"{x}-" for x in codes))
        ]


def add(catalogue: CatalogueStandIn, *courses: Course) -> None:
    """Lists more courses in the fall."""
    catalogue.terms[FALL] = [*catalogue.terms[FALL], *courses]

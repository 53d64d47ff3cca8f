"""Material that the assistant writes for teachers: every kind, its citations, its failures, and edits over REST."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from functions.chat import jobs
from functions.chat.shapes import SHAPES
from functions.shared.clock import SystemClock
from functions.shared.jobs import JobCancelled
from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.support import chat
from tests.support.canvas import Runner, Student
from tests.support.models import forget_servers

TEXT = (
    "# Light\n\nPlants turn light into sugar. The light reaction happens in the thylakoids. Water is split by light.\n"
)
KINDS = list(SHAPES)


@pytest.fixture
def writer(stack: Stack, model: ModelStandIn) -> Iterator[Runner]:
    """Runs one job at a time, with the model stand-in."""
    forget_servers()
    settings = {
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": "test",
        "OPENAI_MODEL": "standin-normal",
        "MODEL_READ_TIMEOUT_SECONDS": "1",
        "MODEL_DEADLINE_SECONDS": "15",
    }
    given = Runner({**stack.service_environment(), **settings}, jobs)
    yield given
    given.close()


@pytest.fixture
def source(teacher: Student, writer: Runner) -> str:
    """A text of the teacher's, ready to be quoted."""
    made = chat.add(teacher, "content_sources", kind="text", title="Light", text_content=TEXT)
    waiting = teacher.rows("jobs", dedupe_key=f"eq.content_sources:{made}")[0]["id"]
    assert writer.run(waiting).failure is None
    return made


def begin(person: Student, kind: str = "quiz", **more: Any) -> tuple[str, str]:
    body = {"kind": kind, "instructions": "About the light reaction", **more}
    answer = person.functions.post("/chat/generate", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()["generated_content_id"], answer.json()["job_id"]


def row(person: Student, content_id: str) -> dict[str, Any]:
    return person.rows("generated_content", id=f"eq.{content_id}")[0]


def written(person: Student, writer: Runner, kind: str = "quiz", **more: Any) -> dict[str, Any]:
    content_id, job_id = begin(person, kind, **more)
    ended = writer.run(job_id)
    assert ended.failure is None, ended.failure
    return row(person, content_id)


def used(stack: Stack, person: Student) -> int:
    with psycopg.connect(stack.db_url) as db:
        query = "select coalesce(sum(used), 0) from private.usage_counters where user_id = %s and meter = %s"
        found = db.execute(query, (person.user_id, "generated_content")).fetchone()
    return int(found[0]) if found else 0


def change(person: Student, content_id: str, **columns: Any) -> tuple[int, str]:
    """A PATCH over REST: its status, and what it says when it is refused."""
    answer = person.rest.patch("/generated_content", params={"id": f"eq.{content_id}"}, json=columns)
    return answer.status_code, "" if answer.is_success else answer.json()["message"]


def exported(person: Student, content_id: str, **query: Any) -> Any:
    return person.functions.get(f"/chat/generated/{content_id}/export", params=query)


def test_every_kind_is_written_with_citations_and_exported(
    stack: Stack, teacher: Student, stranger: Student, writer: Runner, source: str, model: ModelStandIn
) -> None:
    for kind in KINDS:
        model.requests.clear()
        found = written(teacher, writer, kind, content_source_ids=[source])
        assert (found["kind"], found["status"], found["error_code"]) == (kind, "draft", None)
        assert found["title"] == "About the light reaction"
        # the words are said where they are quoted, and nothing of the marks is left
        if kind != "rubric":
            assert "[1]" in found["content_md"], kind
            assert found["citations"][0]["content_source_id"] == source
            assert found["citations"][0]["quote"] in TEXT
        assert '[1: "' not in json.dumps(found["content"]) + found["content_md"]
        assert found["metrics"]["attempts"] == len(model.requests) == 1
        assert model.requests[0]["body"]["response_format"]["json_schema"]["name"] == kind
        assert found["prompt_version"] == "generate/1.0.0"
        page = exported(teacher, found["id"], format="html")
        assert (page.status_code, "sandbox" in page.headers["content-security-policy"]) == (200, True)
        assert "<h1>About the light reaction</h1>" in page.text
        text = exported(teacher, found["id"])
        assert text.text.startswith("# About the light reaction\n\n")
        assert found["content_md"] in text.text
        table = exported(teacher, found["id"], format="csv")
        assert table.status_code == (200 if kind in ("quiz", "rubric", "slides") else 422)
        assert exported(stranger, found["id"]).status_code == 404
    assert used(stack, teacher) == len(KINDS)


def test_answers_are_left_out_for_students(teacher: Student, writer: Runner, source: str) -> None:
    quiz = written(teacher, writer, title="Test", content_source_ids=[source])
    assert quiz["title"] == "Test"
    explanation = quiz["content"]["questions"][0]["explanation"]
    assert explanation in quiz["content_md"]
    bare = exported(teacher, quiz["id"], answers="false").text
    assert "Which word is missing?" in bare
    assert "## Answers" in quiz["content_md"]
    assert "Answers" not in bare
    assert explanation not in bare
    rows = list(csv.reader(io.StringIO(exported(teacher, quiz["id"], format="csv").text.removeprefix("\ufeff"))))
    assert rows[0][:4] == ["number", "question", "points", "choice A"]
    assert rows[0][-3:] == ["correct", "answer", "explanation"]
    assert [row[0] for row in rows[1:]] == [str(n) for n in range(1, len(quiz["content"]["questions"]) + 1)]
    bare_rows = exported(teacher, quiz["id"], format="csv", answers="false").text
    assert "explanation" not in bare_rows


def test_an_edit_of_one_updates_the_other(teacher: Student, writer: Runner) -> None:
    quiz = written(teacher, writer)
    parts = quiz["content"]
    parts["questions"][0]["prompt"] = "=cmd|' /C calc'!A0"
    assert change(teacher, quiz["id"], content=parts)[0] == 204
    edited = row(teacher, quiz["id"])
    assert "1. =cmd|' /C calc'!A0" in edited["content_md"]
    assert "'=cmd|" in exported(teacher, quiz["id"], format="csv").text
    # a whole row that was read before may be sent back with one of the two changed
    assert change(teacher, quiz["id"], content=edited["content"], content_md="# Mine\n")[0] == 204
    mine = row(teacher, quiz["id"])
    assert (mine["content"], mine["content_md"]) == ({"markdown": "# Mine\n"}, "# Mine\n")
    for query in ({"format": "csv"}, {"answers": "false"}):
        assert exported(teacher, quiz["id"], **query).json()["code"] == "export_not_supported"
    assert change(teacher, quiz["id"], content=parts)[0] == 204
    assert row(teacher, quiz["id"])["content_md"] == edited["content_md"]
    assert change(teacher, quiz["id"], status="approved") == (204, "")
    before = row(teacher, quiz["id"])
    parts["questions"][0]["correct"] = [99]
    assert change(teacher, quiz["id"], content=parts) == (
        400, "content.questions[1].correct[1] must be the number of a choice",
    )  # fmt: skip
    assert change(teacher, quiz["id"], content={"sections": []})[0] == 400
    parts["questions"][0] |= {"correct": [1], "points": 7}
    assert change(teacher, quiz["id"], content=parts, content_md="other")[0] == 400
    assert change(teacher, quiz["id"], content_md=None)[0] == 400
    assert change(teacher, quiz["id"], citations=[{"number": 1}])[0] == 403
    assert row(teacher, quiz["id"]) == before


def hostile(kind: str = "other") -> str:
    """An answer that would like to run, load, cite what is not there, and swallow what follows."""
    text = (
        '<script>alert(1)</script> ![p](https://evil.test/p.png) [x](javascript:1) [1: "words that are not there"] '
        "<img src=x onerror=alert(1)>\n\n```\nnever closed"
    )
    return json.dumps(
        {"title": "<b>T</b>", "sections": [{"heading": "# H\n\nx", "text": text}, {"heading": "Z", "text": "z"}]}
    )


def test_what_a_model_writes_cannot_run_load_or_cite_what_is_not_there(
    teacher: Student, writer: Runner, source: str, model: ModelStandIn
) -> None:
    model.say("normal", text=hostile())
    found = written(teacher, writer, "other", content_source_ids=[source])
    assert found["citations"] == []
    assert found["metrics"]["citations_dropped"] == 1
    page = exported(teacher, found["id"], format="html").text
    for live in ("<script", "<img", "<b>", "javascript:", "evil.test"):
        assert live not in page
    # the open fence ends with its section
    assert "<h2>Z</h2>" in page
    assert "words that are not there" not in found["content_md"]


@pytest.mark.parametrize(
    ("behaviour", "code", "calls"),
    [
        ("500", "provider_unavailable", 3),
        ("quota", "quota_exceeded", 1),
        ("wrong-schema", "invalid_response", 2),
        ("200-text", "invalid_response", 3),
        ("filter", "content_filtered", 1),
        ("length", "truncated", 1),
    ],
)
def test_a_failure_of_the_model_is_a_code_and_costs_no_quota(
    stack: Stack, teacher: Student, writer: Runner, model: ModelStandIn, behaviour: str, code: str, calls: int
) -> None:
    model.say(default=behaviour)
    content_id, job_id = begin(teacher)
    ended = writer.run(job_id)
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.retryable) == (code, False)
    found = row(teacher, content_id)
    assert (found["error_code"], found["content_md"], found["content"]) == (code, None, {})
    assert len(model.requests) <= calls
    assert used(stack, teacher) == 0
    assert exported(teacher, content_id).json()["code"] == "not_written"


def test_an_answer_that_does_not_fit_is_repaired_once(teacher: Student, writer: Runner, model: ModelStandIn) -> None:
    bad = {"title": "T", "instructions": "", "labels": {"answers": "", "points": ""}, "questions": [
        {"prompt": "p", "choices": ["a", "b"], "correct": [3], "answer": "", "explanation": "", "points": 1}
    ]}  # fmt: skip
    model.say("normal", text=json.dumps(bad))
    found = written(teacher, writer)
    assert found["metrics"]["attempts"] == 2
    assert "repair" in found["metrics"]["parse_path"]


def test_jobs_that_are_cancelled_or_killed_leave_a_code(
    stack: Stack, teacher: Student, writer: Runner, model: ModelStandIn
) -> None:
    def cancelled() -> None:
        raise JobCancelled

    content_id, job_id = begin(teacher)
    with pytest.raises(JobCancelled):
        writer.handle(writer.claim(job_id), clock=SystemClock(), on_check=cancelled)
    assert row(teacher, content_id)["error_code"] == "cancelled"
    assert model.requests == []
    # one whose job never ran
    content_id, job_id = begin(teacher)
    assert teacher.rest.post("/rpc/cancel_job", json={"p_id": job_id}).status_code in (200, 204)
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        db.execute("select public.svc_sweep_generations()")
    assert row(teacher, content_id)["error_code"] == "cancelled"
    assert used(stack, teacher) == 0


def test_named_sources_that_are_still_read_are_waited_for(
    stack: Stack, teacher: Student, writer: Runner, model: ModelStandIn
) -> None:
    late = chat.add(teacher, "content_sources", kind="text", title="Late", text_content=TEXT)
    content_id, job_id = begin(teacher, content_source_ids=[late])
    reading = teacher.rows("jobs", dedupe_key=f"eq.content_sources:{late}")[0]["id"]
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            assert model.requests == []
            writer.run(reading)

    # the person's slots admit both
    writer.handle(writer.claim(job_id), on_check=look)
    assert row(teacher, content_id)["citations"][0]["content_source_id"] == late
    model.requests.clear()
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        for state in ("pending", "processing", "failed"):
            db.execute("update public.content_sources set status = %s where id = %s", (state, late))
    content_id, job_id = begin(teacher, content_source_ids=[late])
    ended = writer.run(job_id)
    assert (ended.failure and ended.failure.code, model.requests) == ("source_not_ready", [])
    assert row(teacher, content_id)["error_code"] == "source_not_ready"


def test_a_second_attempt_writes_nothing_over_what_is_there(
    teacher: Student, writer: Runner, model: ModelStandIn
) -> None:
    content_id, job_id = begin(teacher)
    job = writer.claim(job_id)
    assert change(teacher, content_id, content_md="Mine.")[0] == 204
    assert writer.handle(job) == {"generated_content_id": content_id, "status": "ended"}
    assert (row(teacher, content_id)["content_md"], model.requests) == ("Mine.", [])


def test_what_is_not_the_callers_is_refused_and_nothing_is_stored(
    teacher: Student, other_teacher: Student, stranger: Student
) -> None:
    def status(person: Student, **body: Any) -> int:
        whole = {"kind": "quiz", "instructions": "x", **body}
        return person.functions.post("/chat/generate", json=whole).status_code

    foreign = {
        "class_id": chat.add(other_teacher, "classes", name="9a"),
        "thread_id": chat.thread(other_teacher),
        "content_source_ids": [
            chat.add(other_teacher, "content_sources", kind="text", title="x", text_content="x")
        ],
    }  # fmt: skip
    for name, value in foreign.items():
        assert status(teacher, **{name: value}) == 404
    assert status(stranger) == 403
    for body in ({"kind": "poem"}, {"instructions": " "}, {"instructions": "x" * 20_001}, {"colour": 1}):
        assert status(teacher, **body) == 422
    assert teacher.rows("generated_content") == []

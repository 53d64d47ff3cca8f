"""A chapter of ``./scripts/demo``: a student asks a question, gets a cited answer, and a tutor judges it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import psycopg

Say = Callable[[str], None]
# the chapter of materials stored the document and the lecture that answer it
QUESTION = "How are collisions of two keys resolved by chaining?"


class Person(Protocol):
    """A person of the demo, as far as this chapter needs them."""

    user_id: str
    functions: Any

    def select(self, table: str, columns: str = "*", **equals: str) -> list[dict[str, Any]]: ...

    def rpc(self, name: str, args: Mapping[str, Any]) -> Any: ...


class QuestionFailed(RuntimeError):
    """The answer broke off; the message says how."""


def question(
    db_url: str, student: Person, new_person: AbstractContextManager[Person], headline: Say, line: Say
) -> None:
    """Asks, shows the answer as it is written and what is said about it; then a tutor judges it.

    :param new_person: signs up, and becomes the student's tutor as staff would make them
    :raise QuestionFailed: there is no whole answer
    """
    headline("They ask the companion")
    line(f"{QUESTION}\n")
    body = {"question": QUESTION, "external_id": "demo"}
    with student.functions.stream("POST", "tutoring/questions", json=body) as answer:
        for event in answer.iter_lines():
            if not event.startswith("data: {"):
                continue
            part = json.loads(event.removeprefix("data: "))
            if part["type"] == "text-delta":
                print(part["delta"], end="", flush=True)
            elif part["type"] in ("error", "abort"):
                raise QuestionFailed(f"the answer ended with {part}")
    print()
    row = student.select("qa_interactions", external_id="demo")[0]
    headline(f"The answer is {row['status']}, its confidence {row['confidence']} ({row['confidence_score']})")
    for citation in row["citations"]:
        place = f"page {citation['page_start']}" if citation["page_start"] else f"second {citation['start_second']}"
        line(f'[{citation["n"]}] {citation["kind"]}, {place}: "{citation["quote"]}"')
    line(f"evidence {json.dumps(row['metrics'].get('evidence'))}, calibrator {row['calibrator_version']}")
    with new_person as tutor:
        with psycopg.connect(db_url, autocommit=True) as db:
            db.execute("update public.profiles set role = 'tutor' where user_id = %s", (tutor.user_id,))
            db.execute(
                "insert into public.tutor_student_assignments (tutor_id, student_id) values (%s, %s)",
                (tutor.user_id, student.user_id),
            )
        tutor.rpc("rate_answer", {"p_qa_id": row["id"], "p_is_correct": True, "p_seen_label": False})
        line("their tutor reads it, without seeing the confidence, and says that it is right")

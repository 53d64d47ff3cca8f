"""Reading an assignment: what a model gets, and what is kept from it."""

from __future__ import annotations

from typing import Any

import pytest

from functions.headstart.assignment import read_task

SECRET = "Electrons travel down the chain"


def row(html: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "title": "Light\u200b reaction\nnow",
        "description_html": html,
        "due_at": "2031-05-09T21:59:00+00:00",
        "points_possible": 10,
        "submission_types": ["online_upload"],
        "canvas_url": "https://canvas.test/a/1",
        "course": {"name": "Biology"},
        "profile": {"timezone": "Europe/Berlin", "timezone_source": "person"},
        **changes,
    }


@pytest.mark.parametrize(
    "part",
    [
        f"<h3>Model solution</h3><p>{SECRET}</p>",
        f"<h2>Sample Answer</h2><div><p>x</p><h4>Part</h4><p>{SECRET}</p></div>",
        f"<p><strong>Solution:</strong> {SECRET}</p>",
        f"<p><strong>Solution:</strong></p><p>{SECRET}</p>",
        f"<p>Model solution {SECRET}</p>",
        f"<p>Answer key</p><ul><li>{SECRET}</li></ul>",
        f"<details><summary>Show solution</summary>{SECRET}</details>".replace("Show solution", "Solution"),
        f"<div>Musterlösung: {SECRET}</div>",
        f"<p>For instructors only: {SECRET}</p>",
        f"<p>Instructor notes</p><p>{SECRET}</p>",
        f'<p style="display:none">{SECRET}</p>',
        f"<pre>Solution:\n{SECRET}</pre>",
    ],
)
def test_a_solution_is_kept_from_the_model_and_known_to_the_guard(part: str) -> None:
    task = read_task(row(f"<p>Explain the reaction.</p>{part}<h2>How to hand in</h2><p>Submit a PDF.</p>"))
    assert SECRET not in task.text
    assert any(SECRET in solution for solution in task.solutions)
    assert "Explain the reaction." in task.text
    assert "Submit a PDF." in task.text


@pytest.mark.parametrize(
    "html",
    [
        "<p>Give your answers in full sentences.</p>",
        "<p>Answer the following: why is grass green?</p>",
        "<p>Solutions of salt conduct. Explain.</p>",
        "<h2>Questions</h2><ol><li>Answer one</li></ol>",
    ],
)
def test_a_task_that_speaks_of_answers_stays_whole(html: str) -> None:
    task = read_task(row(html))
    assert task.solutions == ()


TASKS = {
    "talk of answers": "<p>Sample answers will be discussed in class.</p><p>Explain the reaction.</p>",
    "a heading for answers": "<h3>Answers</h3><p>Write your answers in full sentences.</p><p>Explain the reaction.</p>",
    "room for an answer": "<p>Explain the reaction.</p><p>Answer: ____</p>",
    "rooms in a list": "<h3>Answers</h3><ol><li>____</li><li>____</li></ol><p>Explain the reaction.</p>",
    "a question as an answer": "<p><b>Answer:</b> Explain the reaction. Why is grass green?</p>",
    "instructions in German": "<h3>Antworten</h3><p>Schreibe deine Antworten auf. Explain the reaction.</p>",
    "instructions after other text": "<p>Read chapter two of the book first.</p><h3>Answers</h3>"
    "<p>Write your answers in full sentences. Explain the reaction.</p>",
    "an essay to write": "<h3>Essay</h3><p>Explain the reaction.</p>",
    "nothing else": "<h3>Solution</h3><p>Explain the reaction.</p>",
    "a label at the end": "<p>Explain the reaction.</p><h3>Solution</h3>",
    "a saline solution": "<p>Solution: 5 g of salt in water. What happens? Explain the reaction.</p>",
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_not_taken_for_its_solution(name: str) -> None:
    task = read_task(row(TASKS[name]))
    assert "Explain the reaction." in task.text
    assert task.solutions == ()


@pytest.mark.parametrize("after", ["<h3>Task 2</h3>", "<hr>", "<p>Submission: a PDF</p>"])
def test_a_labelled_section_ends_where_the_next_one_begins(after: str) -> None:
    task = read_task(row(f"<p>Explain.</p><p>Solution:</p><p>{SECRET}</p>{after}<p>More to do.</p>"))
    assert SECRET not in task.text
    assert "More to do." in task.text


@pytest.mark.parametrize(
    "label", ["Musterlösung", "Corrigé", "Gabarito", "参考答案", "模範解答", "الإجابة النموذجية", "Facit"]
)
def test_labels_are_known_in_other_languages(label: str) -> None:
    task = read_task(row(f"<p>Explain the reaction.</p><h3>{label}</h3><p>{SECRET}</p>"))
    assert SECRET not in task.text
    assert any(SECRET in solution for solution in task.solutions)


def test_facts_and_links_are_there() -> None:
    task = read_task(
        row('<p>See <a href="https://canvas.test/f/7">the sheet</a> and <a href="http://x.test">this</a></p>')
    )
    assert task.title == "Light reaction now"
    for fact in (
        "Title: Light reaction now",
        "Course: Biology",
        "Points: 10",
        "online_upload",
        "Due: Friday 9 May 2031, 23:59 (Europe/Berlin)",
    ):
        assert fact in task.text
    assert task.urls == {"https://canvas.test/a/1", "https://canvas.test/f/7"}


def test_the_due_date_is_told_in_the_courses_zone_when_the_person_has_none() -> None:
    changes = {
        "profile": {"timezone": "UTC", "timezone_source": "default"},
        "course": {"name": "Biology", "time_zone": "Pacific/Auckland"},
    }
    task = read_task(row("<p>Do it.</p>", **changes))
    assert "Due: Saturday 10 May 2031, 09:59 (Pacific/Auckland)" in task.text
    assert task.time_zone == "Pacific/Auckland"


def test_hidden_notes_are_known_to_the_guard_and_to_nobody_else() -> None:
    task = read_task(row("<p>Do it.</p>"), SECRET)
    assert task.solutions == (SECRET,)
    assert SECRET not in task.text


def test_an_assignment_without_anything_can_be_read() -> None:
    empty = row(
        None, due_at=None, points_possible=None, submission_types=[], canvas_url=None, course=None, profile=None
    )
    task = read_task(empty)
    assert "no description" in task.text
    assert (task.due_at, task.time_zone, task.urls) == (None, "UTC", frozenset())


def test_a_huge_description_is_cut() -> None:
    task = read_task(row("<p>" + "word " * 40_000 + "</p>"))
    assert len(task.text) < 31_000
    assert task.text.endswith("(The description goes on.)")

"""Reading an assignment: what a model gets, and what is kept from it."""

from __future__ import annotations

from typing import Any

import pytest

from functions.canvas_sync.mapping import assignment_row
from functions.headstart.assignment import read_task
from functions.shared.llm.usage import estimated_tokens

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


def test_rubric_files_dates_and_a_lock_are_told() -> None:
    rubric = [
        {
            "description": "Argument <b>and</b> evidence",
            "long_description": "<p>Two sources.</p><p hidden>Photon</p><p>Model solution: Gradient 7</p>",
            "points": 4,
            "ratings": [
                {"description": "Full", "points": 4},
                {"description": "None", "long_description": "Empty", "points": 0},
            ],
        },
        "nonsense",
        {"description": None, "ratings": "nonsense"},
    ]
    payload = {
        "rubric": rubric,
        "locked_for_user": True,
        "attachments": [{"name": "Sheet\n1.pdf", "url": "https://canvas.test/files/7"}, {"name": "Map", "url": None}],
    }
    links = (
        '<a href="https://canvas.test/courses/1/files/9?wrap=1">Chapter 2</a> and <a href="https://a.test/x">this</a>'
    )
    html = f"<p>Read {links}.</p>"
    task = read_task(row(html, raw_payload=payload, unlock_at="2031-05-01T06:00:00+00:00", lock_at=None))
    assert "Opens: Thursday 1 May 2031, 08:00 (Europe/Berlin)\n" in task.text
    assert "Closes" not in task.text
    assert "Locked: Canvas does not let the student hand in now." in task.text
    files = task.text.split("Attached files:\n")[1].split("\n\n")[0]
    assert files.splitlines() == [
        "- Sheet 1.pdf: https://canvas.test/files/7",
        "- Map",
        "- Chapter 2: https://canvas.test/courses/1/files/9?wrap=1",
    ]
    told = task.text.split("Rubric:\n")[1]
    assert told.startswith("- Argument **and** evidence (4 points)\n  Two sources.")
    assert "  - 4 points: Full\n  - 0 points: None Empty" in told
    assert "Gradient" not in task.text
    assert "Photon" not in task.text
    assert any("Gradient 7" in one for one in task.solutions)
    assert "Photon" in task.solutions
    assert "https://canvas.test/files/7" in task.urls


@pytest.mark.parametrize(
    ("html", "payload", "said"),
    [
        (None, {}, "(The assignment has no description.)"),
        (None, {"locked_for_user": True}, "(Canvas does not show the description yet.)"),
        (None, {"embedded": ["Quiz (tool.test)"]}, "the description only shows another page, Quiz (tool.test).)"),
        ("<p>Watch this.</p>", {"embedded": ["tool.test"]}, "also shows another page, which is not here: tool.test.)"),
        ('<p><a href="https://a.test/task">Task</a></p>', {}, "(The description is only a link."),
        ('<p>Read <a href="https://a.test/task">the task</a>.</p>', {}, None),
        ("<p>Explain the reaction.</p>", {}, None),
    ],
)
def test_a_description_that_is_elsewhere_says_so(html: str | None, payload: dict[str, Any], said: str | None) -> None:
    text = read_task(row(html, raw_payload=payload)).text
    if said is None:
        assert "(The" not in text
    else:
        assert said in text


EMPTY = "<p>&nbsp;</p><div><br></div>"
FRAMED = "(The task is not here: the description only shows another page, "
LINKED = "(The description is only a link."
FILE = (
    '<a class="instructure_file_link" title="HW3.pdf" href="https://c.test/courses/1/files/7?verifier=abc&amp;wrap=1"'
    ' data-api-endpoint="https://c.test/api/v1/courses/1/files/7" data-api-returntype="File">HW3.pdf</a>'
)
BUTTON = (
    '<a class="file_download_btn" href="https://c.test/courses/1/files/7/download?download_frd=1&amp;verifier=abc">'
    '<img src="https://c.test/svg"><span class="screenreader-only" style="display:none">Download</span></a>'
)
LTI = (
    '<iframe class="lti-embed" title="Problem set 3" allow="geolocation *" src="https://c.test/courses/1/external_tools/'
    'retrieve?display=borderless&amp;url=https%3A%2F%2Ftool.test%2Flaunch"></iframe>'
)


@pytest.mark.parametrize(
    ("html", "only", "embedded", "said"),
    [
        (
            f'<div class="x"><div>{EMPTY}<iframe src="https://tool.test/1"></iframe></div></div>',
            "frame",
            ["tool.test"],
            FRAMED,
        ),
        (f"{EMPTY}<p>{LTI}</p>{EMPTY}", "frame", ["Problem set 3 (c.test)"], f"{FRAMED}Problem set 3 (c.test).)"),
        ('<video controls><source src="https://c.test/v?verifier=q">Play</video>', "frame", ["video (c.test)"], FRAMED),
        (f'{EMPTY}<iframe title="Intro" src="/media_attachments_iframe/5"></iframe>', "frame", ["Intro"], FRAMED),
        ('<audio title="Listening 1" src="https://c.test/a.mp3"></audio>', "frame", ["Listening 1 (c.test)"], FRAMED),
        (f'<p><a href="https://a.test/x">Open</a></p>{LTI}', "frame", ["Problem set 3 (c.test)"], FRAMED),
        (f"{EMPTY}<p>{FILE}{BUTTON}</p>{EMPTY}", "link", None, LINKED),
        ("<p>https://docs.test/document/d/abc</p>", "link", None, LINKED),
        ('<a href="https://a.test/x"><img src="https://c.test/i.png" alt="Start"></a>', "link", None, LINKED),
        (f'<p><img src="https://c.test/i.png" alt="task.png"></p>{EMPTY}', "picture", None, "is only a picture."),
        (EMPTY, None, None, "(The assignment has no description.)"),
        (f"<p>Watch this.</p>{LTI}", None, ["Problem set 3 (c.test)"], "(The description also shows another page"),
        (f"<p>Hand in {FILE}.</p>", None, None, None),
        ('<p><img class="equation_image" alt="LaTeX: x^2"></p>', None, None, None),
        ("<p>" + f'<a href="https://a.test/x">{"words " * 500}</a></p>', None, None, None),
    ],
)
def test_from_canvas_to_the_prompt_a_description_without_words_says_where_it_is(
    html: str, only: str | None, embedded: list[str] | None, said: str | None
) -> None:
    stored = assignment_row({"name": "Essay", "description": html}, 1)
    payload = stored["raw_payload"]
    assert (payload.get("description_only"), payload.get("embedded")) == (only, embedded)
    text = read_task(row(stored["description_html"], raw_payload=payload)).text
    assert said in text if said else "(The" not in text
    assert "verifier" not in text + str(stored)
    assert text.count("HW3.pdf: ") == html.count("instructure_file_link"), "one file, however often it is linked"


@pytest.mark.parametrize("word", ["light ", "光", "1234567 "])
def test_a_description_fits_the_models_window_in_any_script(word: str) -> None:
    html = f"<p>{word * (30_000 // len(word) + 1)}</p>"
    rubric = [{"description": word * (8_000 // len(word) + 1), "points": 1}]
    task = read_task(row(html, raw_payload={"rubric": rubric}), max_tokens=1000)
    assert 1400 < estimated_tokens(task.text) < 1700
    assert "(The description goes on.)" in task.text
    assert "Rubric:" in task.text


def test_one_word_that_is_longer_than_the_window_is_cut() -> None:
    assert 0 < estimated_tokens(read_task(row(f"<p>{'é' * 40_000}</p>"), max_tokens=1000).text) < 1200

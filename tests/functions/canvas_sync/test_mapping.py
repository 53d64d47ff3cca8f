"""Canvas's JSON as our rows."""

from __future__ import annotations

from typing import Any

import pytest

from functions.canvas_sync.mapping import assignment_row, clean, course_row, moment, own_submission
from tests.standins.canvas.world import hostile_description


def sanitised(html: object) -> Any:
    """A description as it is stored."""
    return assignment_row({"id": 8, "description": html}, 8)["description_html"]


def test_html_is_harmless_and_keeps_its_meaning() -> None:
    html = sanitised(hostile_description())
    assert html is not None
    for bad in ("script", "style", "onclick", "onerror", "javascript:", "alert", "data-mention", "mceNonEditable"):
        assert bad not in html
    for good in ("Question 1", "@Student 2", "Model solution", "six times seven"):
        assert good in html


def test_file_links_lose_what_opens_them_without_login() -> None:
    base = "https://c.edu/courses/1/files/2/download"
    for query, left in [
        ("?verifier=abc", ""),
        ("?verifier=abc&amp;wrap=1", "?wrap=1"),
        ("?wrap=1&amp;verifier=abc", "?wrap=1"),
        ("?a=1&amp;verifier=abc&amp;b=2", "?a=1&amp;b=2"),
    ]:
        html = sanitised(f'<p><a href="{base}{query}">file</a><img src="{base}{query}" alt="x"></p>')
        assert html is not None
        assert f'href="{base}{left}"' in html
        assert f'src="{base}{left}"' in html


def test_what_a_teacher_hid_is_kept_apart() -> None:
    row = assignment_row({"id": 8, "description": "<p>Do it.</p><p style='display:none'>The key is 42.</p>"}, 8)
    assert row["description_html"] == "<p>Do it.</p>"
    assert row["hidden_notes"] == "The key is 42."
    assert row["content_hash"] != assignment_row({"id": 8, "description": "<p>Do it.</p>"}, 8)["content_hash"]
    assert "hidden_notes" not in assignment_row({"id": 8, "description": "<p>Do it.</p>"}, 8)


def test_a_picture_of_megabytes_does_not_crowd_out_the_task() -> None:
    picture = '<img src="data:image/png;base64,' + "A" * 3_000_000 + '">'
    row = assignment_row({"id": 8, "description": f"{picture}<p>The task.</p>"}, 8)
    assert "The task." in row["description_html"]
    assert "is_description_cut" not in row
    long = assignment_row({"id": 8, "description": "<p>word word</p>" * 100_000}, 8)
    assert long["is_description_cut"] is True
    assert len(long["description_html"]) <= 1_000_010


@pytest.mark.parametrize("html", [None, "", "  \n", "<script>x</script>", 7, ["<p>x</p>"], "<iframe src='x'></iframe>"])
def test_nothing_to_show_is_null(html: object) -> None:
    assert sanitised(html) is None


def test_a_course_without_a_name_gets_its_code_or_its_number() -> None:
    assert course_row({"id": 7, "name": "History", "course_code": "HIS"}, 7)["name"] == "History"
    assert course_row({"id": 7, "name": "  ", "course_code": "HIS"}, 7)["name"] == "HIS"
    assert course_row({"id": 7, "access_restricted_by_date": True}, 7)["name"] == "Course 7"


def test_what_belongs_to_others_or_is_secret_is_not_kept() -> None:
    course: dict[str, Any] = {
        "id": 7,
        "name": "x",
        "calendar": {"ics": "secret"},
        "enrollments": [{"user_id": 9}],
        "teachers": [{"id": 9}],
    }
    assignment: dict[str, Any] = {
        "id": 8,
        "name": "y",
        "secure_params": "secret",
        "needs_grading_count": 4,
        "overrides": [{"student_ids": [9]}],
        "assignment_visibility": ["9"],
        "submission": {"user_id": 1, "workflow_state": "graded", "score": 3, "body": "own words", "grader_id": 9},
    }
    stored = repr(course_row(course, 7)) + repr(assignment_row(assignment, 8))
    for bad in ("secret", "enrollments", "teachers", "overrides", "visibility", "own words", "grader", "grading_count"):
        assert bad not in stored


@pytest.mark.parametrize(
    ("submission", "status"),
    [
        (None, "open"),
        ({"workflow_state": "unsubmitted"}, "open"),
        ({"workflow_state": "submitted"}, "submitted"),
        ({"workflow_state": "pending_review"}, "submitted"),
        ({"workflow_state": "graded", "score": 4}, "graded"),
        ({"workflow_state": "something new"}, "open"),
        ([{"workflow_state": "graded"}], "open"),
    ],
)
def test_status_follows_the_own_submission(submission: object, status: str) -> None:
    assert assignment_row({"id": 8, "submission": submission}, 8)["status"] == status


def test_an_observers_list_of_submissions_is_not_kept() -> None:
    assert own_submission([{"workflow_state": "graded", "user_id": 9}]) is None


def test_strange_values_become_null_not_failures() -> None:
    row = assignment_row(
        {
            "id": 8,
            "name": "a\0b\ud800",
            "due_at": "tomorrow",
            "unlock_at": 7,
            "lock_at": "2026-12-01T23:59:59-05:00",
            "points_possible": -1,
            "position": 10**12,
            "submission_types": ["online_upload", None, 7],
            "html_url": "javascript:alert(1)",
            "rubric": [{"points": float("inf"), "description": "x\0"}],
        },
        8,
    )
    assert row["title"] == "ab?"
    assert (row["due_at"], row["unlock_at"], row["points_possible"], row["position"]) == (None, None, None, None)
    assert row["lock_at"] == "2026-12-02T04:59:59+00:00"
    assert row["submission_types"] == ["online_upload"]
    assert row["canvas_url"] is None
    assert row["raw_payload"]["rubric"] == [{"points": None, "description": "x"}]


def test_the_hash_sees_content_and_nothing_that_changes_by_itself() -> None:
    base: dict[str, Any] = {"id": 8, "name": "y", "description": "<p>x</p>", "points_possible": 3}
    same: list[dict[str, Any]] = [
        {"updated_at": "2026-01-01T00:00:00Z"},
        {"secure_params": "q"},
        {"lock_explanation": "in 3 minutes"},
        {"needs_grading_count": 3},
        {"points_possible": 3.0},
        {"description": "<p onclick='x()'>x</p>"},
    ]
    other: list[dict[str, Any]] = [
        {"name": "z"},
        {"description": "<p>z</p>"},
        {"due_at": "2026-01-01T00:00:00Z"},
        {"submission": {"workflow_state": "submitted"}},
        {"position": 4},
        {"locked_for_user": True},
    ]
    known = assignment_row(base, 8)["content_hash"]
    assert all(assignment_row({**base, **change}, 8)["content_hash"] == known for change in same)
    assert all(assignment_row({**base, **change}, 8)["content_hash"] != known for change in other)


def test_depth_and_times() -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    assert "x" not in repr(clean(deep))
    assert moment("2026-12-01T23:59:59Z") == "2026-12-01T23:59:59+00:00"
    assert moment("0001-01-01T00:00:00+14:00") is None


def test_frames_and_files_are_stored_by_name_without_what_opens_them() -> None:
    frame = '<iframe title="Quiz" src="https://tool.test/launch?verifier=abc"></iframe>'
    files = [
        {"display_name": "Sheet.pdf", "url": "https://c.test/files/7/download?download_frd=1&verifier=abc"},
        {"filename": "Map.png", "url": "javascript:x"},
        {"url": "https://c.test/files/8"},
        "nonsense",
    ]
    row = assignment_row({"name": "T", "description": frame, "attachments": files, "locked_for_user": True}, 1)
    assert row["description_html"] is None
    payload = row["raw_payload"]
    assert payload["embedded"] == ["Quiz (tool.test)"]
    assert payload["locked_for_user"] is True
    assert payload["attachments"] == [
        {"name": "Sheet.pdf", "url": "https://c.test/files/7/download?download_frd=1"},
        {"name": "Map.png", "url": None},
    ]
    assert "attachments" not in assignment_row({"name": "T", "attachments": "nonsense"}, 1)["raw_payload"]

"""The scopes we ask for, the page that explains them, and the calls that are made."""

from __future__ import annotations

import re
from pathlib import Path

from functions.shared.canvas import oauth

ALL = oauth.scopes_of(is_teacher=True, settings={"reads": list(oauth.READS)})
REPO = Path(__file__).parents[3]


def test_the_page_lists_exactly_the_scopes_we_ask_for() -> None:
    page = (REPO / "docs" / "canvas.md").read_text()
    listed = [scope.replace("\\|", "|") for scope in re.findall(r"^\| `(url:[^`]+)`", page, re.MULTILINE)]
    assert listed == list(ALL)


def test_every_path_in_the_client_is_covered_by_a_scope() -> None:
    source = (REPO / "functions" / "shared" / "canvas" / "client.py").read_text()
    called = set(re.findall(r'f?"(/api/v1/[^"]+)"', source))
    shapes = {re.sub(r":\w+", "{}", scope.removeprefix("url:GET|")) for scope in ALL}
    assert {re.sub(r"\{\w+\}", "{}", path) for path in called} == shapes


def test_an_installation_is_asked_for_what_staff_listed_and_nothing_else() -> None:
    for settings in (None, {}, {"reads": None}, {"reads": "modules"}, {"reads": [["modules"], "everything"]}):
        assert oauth.scopes_of(is_teacher=False, settings=settings) == oauth.SCOPES
    asked = oauth.scopes_of(is_teacher=False, settings={"reads": ["todo", "modules"]})
    assert asked == (*oauth.SCOPES, *oauth.READS["modules"], *oauth.READS["todo"])
    assert oauth.covers([], asked), "a personal token is not scoped"
    assert oauth.covers(asked, oauth.READS["todo"])
    assert not oauth.covers(oauth.SCOPES, oauth.READS["todo"])

"""The scopes we ask for, the page that explains them, and the calls that are made."""

from __future__ import annotations

import re
from pathlib import Path

from functions.shared.canvas import oauth

REPO = Path(__file__).parents[3]


def test_the_page_lists_exactly_the_scopes_we_ask_for() -> None:
    page = (REPO / "docs" / "canvas.md").read_text()
    listed = [scope.replace("\\|", "|") for scope in re.findall(r"^\| `(url:[^`]+)`", page, re.MULTILINE)]
    assert listed == list(oauth.scopes_of(is_teacher=True))


def test_every_path_in_the_client_is_covered_by_a_scope() -> None:
    source = (REPO / "functions" / "shared" / "canvas" / "client.py").read_text()
    called = set(re.findall(r'f?"(/api/v1/[^"]+)"', source))
    shapes = {re.sub(r":\w+", "{}", scope.removeprefix("url:GET|")) for scope in oauth.scopes_of(is_teacher=True)}
    assert {re.sub(r"\{\w+\}", "{}", path) for path in called} == shapes

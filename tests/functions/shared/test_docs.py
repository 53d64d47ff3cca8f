"""docs/errors.md and docs/environment.md say what the code says: nothing more, nothing less."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import functions
from functions.shared.errors import AppError, every_error
from functions.shared.settings import Settings

REPO = Path(__file__).parents[3]
ROW = re.compile(r"\| `(\w+)` \| (.+) \|")


def rows(page: str, heading: str | None = None) -> dict[str, list[str]]:
    """First cell to the others, of the table below a heading or of the first one."""
    text = (REPO / "docs" / page).read_text()
    if heading is not None:
        text = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = [(match[1], match[2].split(" | ")) for match in map(ROW.fullmatch, text.splitlines()) if match]
    assert len({name for name, _ in found}) == len(found), "a name stands twice"
    return dict(found)


def declared() -> dict[str, int]:
    """Code to status of every error class of every module."""
    for module in pkgutil.walk_packages(functions.__path__, "functions."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    ours: list[type[AppError]] = [
        AppError,
        *(error for error in every_error() if error.__module__.startswith("functions.")),
    ]
    statuses: dict[str, int] = {}
    for error in ours:
        assert statuses.setdefault(error.code, error.status) == error.status, f"{error.code} has two statuses"
        assert error.__doc__, f"{error.__name__} has no message"
    return statuses


def failure_codes() -> Iterator[str]:
    """The codes handlers give up with: the first argument of each JobFailure, where it is written out."""
    for file in (REPO / "functions").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "JobFailure":
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant):
                    yield str(first.value)


def literals() -> set[str]:
    """Every string the services and the queue's SQL write out."""
    found: set[str] = set()
    for file in (REPO / "functions").rglob("*.py"):
        found |= {str(node.value) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
    for file in (REPO / "sql").rglob("*.sql"):
        found |= set(re.findall(r"'(\w+)'", file.read_text()))
    return found


def test_every_error_is_explained_with_its_status() -> None:
    documented = {code: int(cells[0]) for code, cells in rows("errors.md", "Answers").items()}
    assert documented == declared()


def test_every_code_of_a_job_is_explained() -> None:
    answers, jobs = rows("errors.md", "Answers"), rows("errors.md", "Jobs and runs")
    assert set(failure_codes()) <= answers.keys() | jobs.keys()
    assert not answers.keys() & jobs.keys()
    assert jobs.keys() <= literals()


def test_every_row_has_a_meaning_and_a_remedy() -> None:
    for cells in rows("errors.md", "Answers").values():
        assert len(cells) == 3
    for cells in rows("errors.md", "Jobs and runs").values():
        assert len(cells) == 2


def test_every_setting_is_explained() -> None:
    documented = rows("environment.md")
    assert documented.keys() == {field.name.upper() for field in fields(Settings)}
    # what a repr hides is what the page calls secret
    secret = {name for name, cells in documented.items() if cells[1] == "yes"}
    assert secret == {field.name.upper() for field in fields(Settings) if not field.repr}
    assert all(len(cells) == 4 for cells in documented.values())


def test_every_setting_is_read_by_something() -> None:
    sources = [ast.parse(file.read_text()) for file in (REPO / "functions").rglob("*.py")]
    read = {node.attr for source in sources for node in ast.walk(source) if isinstance(node, ast.Attribute)}
    assert {field.name for field in fields(Settings)} - read == set()


def test_the_example_names_only_settings() -> None:
    names = re.findall(r"^(?:# )?([A-Z_]+)=", (REPO / ".env.example").read_text(), re.MULTILINE)
    assert len(names) > 5
    assert set(names) <= rows("environment.md").keys()

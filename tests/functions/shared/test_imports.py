"""Who may import whom. Flask stays in ``shared/web`` and in the services' routes; services never import each other."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tests.support.processes import bare_environment

REPO = Path(__file__).parents[3]
FUNCTIONS = REPO / "functions"
MODULES = sorted(FUNCTIONS.rglob("*.py"))
NOT_SERVICES = {"shared", "worker"}
FLASK = {"flask", "apiflask", "werkzeug"}

# Imports that have to wait until a function is called, each with its reason.
LATE = {
    # a worker imports the package of a service for its jobs and must not load Flask with it
    *((f"functions/{routes.parent.name}/__init__.py", "create_app") for routes in FUNCTIONS.glob("*/routes.py")),
    # the library takes a second to import, and most processes never call a model
    ("functions/shared/llm/client.py", "library"),
    ("functions/shared/llm/refusals.py", "mapped"),
    # parsers of files: the process that reads one kind must not load all of them
    ("functions/shared/extraction.py", "_extract"),
    ("functions/shared/extraction.py", "read_pdf"),
    ("functions/shared/extraction.py", "read_docx"),
    ("functions/shared/extraction.py", "read_pptx"),
    # it takes seconds and much memory, and web processes never cut texts
    ("functions/shared/chunks.py", "_loaded"),
    # FFmpeg reads files of strangers; it is loaded in a child process and never in the worker
    ("functions/shared/audio.py", "library"),
    # numpy and the model of languages take a second to load, and most processes never guard a text
    ("functions/shared/leaks/words.py", "_loaded"),
    # prometheus_client decides at its import, by the environment, whether several processes share numbers
    ("functions/gunicorn.conf.py", "child_exit"),
}


def name(file: Path) -> str:
    """The file's path in the repository."""
    return str(file.relative_to(REPO))


@functools.cache
def parsed(source: str) -> ast.Module:
    """The tree of a file, which each test reads."""
    return ast.parse(source)


def imported(source: str) -> Iterator[str]:
    """Dotted names of everything that code imports, at the top or within functions."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "import_module",
            "__import__",
        ):
            yield from (str(argument.value) for argument in node.args if isinstance(argument, ast.Constant))


def late(source: str) -> Iterator[str]:
    """The names of functions that import something."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            isinstance(inner, ast.Import | ast.ImportFrom) for inner in ast.walk(node)
        ):
            yield node.name


def uses_flask(source: str) -> bool:
    """Whether code imports Flask, what it is made of, or our own side of it that does."""
    return any(
        found.split(".")[0] in FLASK
        or (found.startswith("functions.shared.web") and not found.startswith("functions.shared.web.schemas"))
        for found in imported(source)
    )


def foreign_services(service: str, source: str) -> set[str]:
    """Other services that a service's code imports."""
    services = {folder.name for folder in FUNCTIONS.iterdir() if folder.is_dir()} - NOT_SERVICES - {service}
    parts = [found.split(".") for found in imported(source)]
    return {part[1] for part in parts if len(part) > 1 and part[0] == "functions" and part[1] in services}


def test_the_scans_see_every_way_to_import() -> None:
    assert uses_flask("from flask import g")
    assert uses_flask("def f():\n    import werkzeug.exceptions")
    assert uses_flask("importlib.import_module('apiflask')")
    assert uses_flask("from functions.shared.web.context import context")
    assert uses_flask("from functions.shared import web")
    assert not uses_flask("from functions.shared.web.schemas import Answer")
    assert not uses_flask("from functions.shared.database import run")
    assert foreign_services("headstart", "from functions.canvas_sync.jobs import sync") == {"canvas_sync"}
    assert foreign_services("headstart", "from functions import canvas_sync") == {"canvas_sync"}
    assert not foreign_services("headstart", "from functions.headstart.jobs import register")
    assert list(late("def f():\n    if True:\n        import x")) == ["f"]
    assert not list(late("import x\ndef f(): pass"))


def may_use_flask(file: Path) -> bool:
    """Whether a file belongs to the Flask side."""
    parts = file.relative_to(FUNCTIONS).parts
    return parts[:2] == ("shared", "web") or (
        parts[0] not in NOT_SERVICES and (parts[-1].endswith("routes.py") or parts[-1] in ("__init__.py", "app.py"))
    )


def test_only_shared_web_and_routes_import_flask() -> None:
    assert [name(file) for file in MODULES if uses_flask(file.read_text()) and not may_use_flask(file)] == []


def test_no_service_imports_another() -> None:
    found = {name(file): foreign_services(file.relative_to(FUNCTIONS).parts[0], file.read_text()) for file in MODULES}
    assert {file: services for file, services in found.items() if services} == {}


def test_what_is_deployed_imports_no_tests_and_no_scripts() -> None:
    """Stand-ins and the native stack stay on a developer's machine (decision 0012)."""
    assert {*imported("from tests.standins import canvas")} == {"tests.standins.canvas"}
    roots = {name(file): {found.split(".")[0] for found in imported(file.read_text())} for file in MODULES}
    assert {file for file, found in roots.items() if found & {"tests", "scripts"}} == set()


def test_modules_import_in_one_direction() -> None:
    sources = {name(file)[: -len(".py")].replace("/", ".").removesuffix(".__init__"): file for file in MODULES}
    graph: dict[str, set[str]] = {}
    for module, file in sources.items():
        wanted = imported(file.read_text())
        # "from functions.shared.http import tls" names a function of a module, "from functions.shared import http" one
        found = {known for path in wanted for known in (path, path.rpartition(".")[0]) if known in sources}
        graph[module] = found - {module}
    assert sum(map(len, graph.values())) > 100
    TopologicalSorter(graph).prepare()


def test_imports_stand_at_the_top() -> None:
    assert {(name(file), function) for file in MODULES for function in late(file.read_text())} == LATE


def test_a_worker_loads_no_flask() -> None:
    """Every handler is imported as the worker does it, in a fresh process."""
    script = (
        "import sys, functions.worker.__main__\n"
        "from functions.worker.handlers import all_handlers\n"
        "assert len(all_handlers().types) > 1\n"
        f"print(sorted({FLASK!r} & set(sys.modules)))\n"
    )
    command, environment = [sys.executable, "-c", script], bare_environment()
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr

"""Fixtures shared by every test: the real platform, started once, and a transaction on its database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from scripts.native.paths import REPO
from scripts.native.stack import Options, Stack
from tests.support.offline import sitecustomize as offline

MAILS_AS_RECORDED = {"GOTRUE_SMTP_MAX_FREQUENCY": "1m"}  # the server's own default; the stack's is shorter
os.environ.setdefault("STANDIN_BCRYPT_ROUNDS", "4")  # ten take a tenth of a second for each new person
os.environ.setdefault("XDG_CACHE_HOME", str(REPO / ".stack" / "xdg"))
# programs that tests start obey the same guard of the network as this process, which obeys since the import above
os.environ["PYTHONPATH"] = os.pathsep.join([offline.HERE, str(REPO)])


# files of few tests that each take long: begun last, they would run alone while three processes wait
LONG = (
    "test_fuzz.py",
    "test_job_chaos.py",
    "test_demo.py",
    "test_browser.py",
    "test_backup.py",
    "test_worker.py",
    "test_survival.py",
    "test_deploy.py",
    "test_ai_sdk.py",
    "test_truth.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files come first."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_configure(config: pytest.Config) -> None:
    """A developer's own settings never steer the tests: the stack makes its own."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "MODEL_", "CANVAS_", "SUPABASE_", "GOTRUE_", "PGRST_")) and name not in (
            "SUPABASE_AUTH_BIN",
            "SUPABASE_DB_URL",
        ):
            del os.environ[name]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The platform with its functions and no worker: tests run jobs when they want them run."""
    with Stack(Options(without=frozenset({"worker"}), auth=MAILS_AS_RECORDED, quiet=True)) as running:
        yield running


@pytest.fixture(scope="session")
def db_url(request: pytest.FixtureRequest) -> str:
    """The database's URL as its owner ``postgres``: a given one (SUPABASE_DB_URL), else the stack's."""
    given = os.environ.get("SUPABASE_DB_URL")
    return given if given else str(request.getfixturevalue("stack").db_url)


@pytest.fixture
def db(db_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection as ``postgres`` inside a transaction that is rolled back at the end."""
    with psycopg.connect(db_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def node() -> str:
    """The Node program, for tests that use supabase-js."""
    found = shutil.which("node")
    assert found, "Node is needed: supabase-js runs on it"
    return found

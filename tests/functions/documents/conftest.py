"""A signed-up student, a course of the catalogue, and what a worker is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from functions.shared.settings import load_settings
from functions.shared.storage import Storage
from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.support.documents import course

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def course_id(stack: Stack) -> str:
    return course(stack)


@pytest.fixture
def environment(stack: Stack) -> dict[str, str]:
    """A worker without a model."""
    return {name: value for name, value in stack.service_environment().items() if not name.startswith("OPENAI_")}


@pytest.fixture
def with_model(environment: dict[str, str], model: ModelStandIn) -> dict[str, str]:
    """A worker with the model stand-in."""
    return {
        **environment,
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": "test",
        "OPENAI_MODEL": "standin-normal",
        "MODEL_READ_TIMEOUT_SECONDS": "1",
        "MODEL_DEADLINE_SECONDS": "15",
    }


@pytest.fixture
def sql(stack: Stack) -> Sql:
    """Runs a statement as the database's owner."""

    def run(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(stack.db_url, autocommit=True) as db:
            cursor = db.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def storage(stack: Stack) -> Iterator[Storage]:
    with Storage(load_settings(stack.service_environment())) as found:
        yield found


@pytest.fixture
def files(sql: Sql) -> Callable[[], set[str]]:
    """The names of all files in the bucket documents."""
    return lambda: {row[0] for row in sql("select name from storage.objects where bucket_id = 'documents'")}

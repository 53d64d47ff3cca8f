"""Fixtures for speaking to Auth and for looking into its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from scripts.native.stack import Stack
from tests.contract.auth.client import Auth

Rows = Callable[..., list[Any]]


@pytest.fixture
def auth(stack: Stack) -> Iterator[Auth]:
    """The stack's Auth, whichever it is, past the gateway."""
    client = Auth(stack.auth_url, stack.service_token)
    yield client
    client.http.close()


@pytest.fixture
def rows(stack: Stack) -> Iterator[Rows]:
    """Reads committed rows."""
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        yield lambda statement, *values: connection.execute(statement, values).fetchall()

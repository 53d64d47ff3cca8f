"""Fixtures shared by every test: the real platform, started once, and a transaction on its database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest


@pytest.fixture(scope="session")
def db_url() -> str:
    """The database's URL as its owner ``postgres``."""
    return os.environ["SUPABASE_DB_URL"]


@pytest.fixture
def db(db_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection as ``postgres`` inside a transaction that is rolled back at the end."""
    with psycopg.connect(db_url) as connection:
        yield connection
        connection.rollback()

"""The school, loaded once in a transaction that is rolled back, and the count of cells tried."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.school import School

TRIED = {"cells": 0, "columns": 0}


@pytest.fixture(scope="package")
def school(db_url: str) -> Iterator[School]:
    """The seeded people and rows; its locks must be gone before the tests of another folder change tables."""
    with psycopg.connect(db_url) as connection:
        yield School(connection)
        connection.rollback()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much of the matrix was tried."""
    if TRIED["cells"]:
        terminalreporter.write_line(
            f"access matrix in SQL: {TRIED['cells']} cells and {TRIED['columns']} column rights tried"
        )

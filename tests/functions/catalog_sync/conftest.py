"""A running stack, a catalogue on a port, and a runner for one job at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from functions.app import create_app
from functions.catalog_sync import jobs
from functions.shared.settings import load_settings
from scripts.native.stack import Stack
from tests.standins.canvas import PLAIN
from tests.standins.catalogue import FALL, SPRING, CatalogueStandIn
from tests.support.canvas import Ended, Runner

# The rows of these tests alone, whatever else the database holds: an earlier test's courses would count as missing.
CLEAN = (
    "delete from public.catalog_courses as c where is_official "
    "and not exists (select from public.lectures where catalog_course_id = c.id)"
)


@pytest.fixture
def catalogue(stack: Stack) -> Iterator[CatalogueStandIn]:
    """The school's list, and no official course here yet."""
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        db.execute(CLEAN)
    with CatalogueStandIn() as stand_in:
        yield stand_in


class Runs:
    """What an administrator can do."""

    def __init__(self, stack: Stack, catalogue: CatalogueStandIn) -> None:
        self.environment = {
            **stack.service_environment(),
            "CATALOG_URL": catalogue.url,
            "CATALOG_TERMS": f"{FALL};{SPRING}",
        }
        self._stack = stack
        self._runner = Runner(self.environment, jobs)
        self.rest = httpx.Client(
            base_url=stack.rest_url, headers={"Authorization": f"Bearer {stack.service_token}"}, verify=PLAIN
        )

    def job(self, **payload: Any) -> str:
        """A waiting job."""
        answer = self.rest.post("/rpc/svc_enqueue_job", json={"p_type": "catalog_sync", "p_payload": payload})
        assert answer.status_code == 200, answer.text
        return str(answer.json()[0]["job_id"])

    def run(self, **payload: Any) -> Ended:
        """A run from beginning to end."""
        return self._runner.run(self.job(**payload))

    def result(self, **payload: Any) -> dict[str, Any]:
        """The result of a run that must succeed."""
        ended = self.run(**payload)
        assert ended.failure is None, ended.failure
        assert ended.result is not None
        return dict(ended.result)

    def failure(self, **payload: Any) -> str:
        """The code of a run that must fail and change nothing."""
        before = self.courses()
        ended = self.run(**payload)
        assert ended.failure is not None, ended.result
        assert self.courses() == before
        return ended.failure.code

    def courses(self) -> dict[str, dict[str, Any]]:
        """The official courses by code."""
        columns = "code,title,instructor,retired_at"
        rows = self.rest.get("/catalog_courses", params={"select": columns, "is_official": "is.true"}).json()
        return {row["code"]: row for row in rows}

    def live(self) -> set[str]:
        """The codes that are not retired."""
        return {code for code, row in self.courses().items() if row["retired_at"] is None}

    def close(self) -> None:
        """Ends the connections."""
        self._runner.close()
        self.rest.close()


@pytest.fixture
def runs(stack: Stack, catalogue: CatalogueStandIn) -> Iterator[Runs]:
    """Runs against the stand-in."""
    given = Runs(stack, catalogue)
    yield given
    given.close()


@pytest.fixture
def administration(stack: Stack, catalogue: CatalogueStandIn) -> Iterator[httpx.Client]:
    """Functions with a catalogue, called with the secret key."""
    settings = {"CATALOG_URL": catalogue.url, "CATALOG_TERMS": f"{FALL};{SPRING}"}
    app = create_app(load_settings({**stack.service_environment(), **settings}))
    transport = httpx.WSGITransport(app=app)
    headers = {"apikey": stack.keys.secret_key}
    with httpx.Client(transport=transport, base_url="http://127.0.0.1/functions/v1", headers=headers) as client:
        yield client

"""``?wait=N`` takes 0 to 30 seconds and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from apiflask import APIBlueprint
from flask.testing import FlaskClient

from functions.shared.settings import Settings
from functions.shared.web.application import create_service
from functions.shared.web.operations import Access, operation
from functions.shared.web.waiting import WaitQuery

PATH = "/functions/v1/slow/wait"


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    """A service with one route that tells how long it would wait."""
    routes = APIBlueprint("slow", __name__)

    @routes.get("/wait")
    @routes.input(WaitQuery, location="query", arg_name="query")
    @operation("Open to all", access=Access.PUBLIC)
    def wait(query: WaitQuery) -> dict[str, Any]:
        return {"wait": query.wait}

    return create_service("slow", routes, settings).test_client()


@pytest.mark.parametrize(("text", "seconds"), [(None, 0), ("0", 0), ("30", 30), ("2.5", 2.5)])
def test_it_reads_seconds(client: FlaskClient, text: str | None, seconds: float) -> None:
    query = {} if text is None else {"wait": text}
    assert client.get(PATH, query_string=query).json == {"wait": seconds}


@pytest.mark.parametrize("text", ["", "31", "-1", "soon", "nan", "inf", "30.001", "9999999999"])
def test_it_refuses_the_rest(client: FlaskClient, text: str) -> None:
    answer: Any = client.get(PATH, query_string={"wait": text})
    assert (answer.status_code, answer.json["code"]) == (422, "validation_failed")
    assert answer.json["details"][0]["path"] == "query.wait"

"""``./scripts/dev`` connects the seed's people to its Canvas, or says in one sentence why it could not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from werkzeug.serving import make_server

from scripts.native import school
from scripts.native.stack import Stack
from tests.standins.canvas import CLIENT_ID, CanvasStandIn

PERSON = {"login": "student", "email": "student@headstart.test"}


@contextlib.contextmanager
def stack(canvas: CanvasStandIn, *, sign_in: int = 200, complete: int = 200) -> Iterator[tuple[Stack, list[str]]]:
    """The two services that connecting calls, answering with these statuses; and what was said."""
    app = Flask("auth-and-functions")

    @app.post("/auth/v1/token")
    def token() -> ResponseReturnValue:
        return jsonify(access_token="token"), sign_in

    @app.post("/functions/v1/canvas-oauth/start")
    def start() -> ResponseReturnValue:
        query = f"client_id={CLIENT_ID}&response_type=code&redirect_uri=http://127.0.0.1:3000/back&scope=x&state=s"
        return jsonify(authorize_url=f"{canvas.url}/login/oauth2/auth?{query}")

    @app.post("/functions/v1/canvas-oauth/complete")
    def end() -> ResponseReturnValue:
        return jsonify(status="connected"), complete

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url, said = f"http://127.0.0.1:{server.server_port}", list[str]()
    keys = SimpleNamespace(publishable_key="key")
    found = SimpleNamespace(url=url, functions_url=f"{url}/functions/v1", keys=keys, say=said.append)
    try:
        yield cast(Stack, found), said
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def canvas() -> Iterator[CanvasStandIn]:
    """A Canvas that knows the person."""
    with CanvasStandIn() as found:
        next(iter(found.world.people.values())).login = PERSON["login"]
        yield found


def test_a_person_is_connected_without_a_word(canvas: CanvasStandIn) -> None:
    with stack(canvas) as (here, said):
        assert school.connect(here, PERSON)
    assert said == []


def test_a_throttled_consent_is_told_in_one_sentence(canvas: CanvasStandIn) -> None:
    canvas.world.switches.high_water = 0.0
    with stack(canvas) as (here, said):
        assert not school.connect(here, PERSON)
    assert len(said) == 1
    assert "student is not connected" in said[0]
    assert "403" in said[0]
    assert "Rate Limit Exceeded" in said[0]
    assert "\n" not in said[0]


def test_a_refused_exchange_is_told_too(canvas: CanvasStandIn) -> None:
    with stack(canvas, complete=503) as (here, said):
        assert not school.connect(here, PERSON)
    assert len(said) == 1
    assert "503" in said[0]
    assert "\n" not in said[0]


def test_a_changed_password_is_the_owners_business(canvas: CanvasStandIn) -> None:
    with stack(canvas, sign_in=400) as (here, said):
        assert not school.connect(here, PERSON)
    assert said == []

"""The OpenAPI document: right by a public linter's rules, complete, and true to what the routes do."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIBlueprint, APIFlask
from pydantic import BaseModel, Field, RootModel

from functions.app import create_app, services
from functions.shared.errors import Conflict, every_error
from functions.shared.settings import Settings
from functions.shared.web.application import create_service
from functions.shared.web.idempotency import idempotent
from functions.shared.web.openapi import BASE, document
from functions.shared.web.operations import Access, Outcome, operation, operation_of
from functions.shared.web.rate_limits import rate_limited
from functions.shared.web.schemas import Answer, Request
from functions.shared.web.waiting import WaitQuery
from scripts.native.paths import REPO
from tests.support.documented import undocumented

RULES = Path(__file__).parent / "redocly.yaml"
METHODS = {"get", "post", "put", "patch", "delete"}
SHAPE = {"code", "message", "details", "hint", "request_id"}


@pytest.fixture
def app(settings: Settings) -> APIFlask:
    """Every service."""
    return create_app(settings)


@pytest.fixture
def spec(app: APIFlask) -> Any:
    """The document as it is served."""
    answer = app.test_client().get(f"{BASE}/openapi.json")
    assert answer.status_code == 200
    return answer.json


def operations(spec: Any) -> Iterator[tuple[str, Any]]:
    """Every operation, with a name to find it by."""
    for path, item in spec["paths"].items():
        for method, found in item.items():
            assert method in METHODS
            yield f"{method.upper()} {path}", found


def test_a_public_linter_finds_the_flaw_alone(spec: Any, tmp_path: Path) -> None:
    flawed = json.loads(json.dumps(spec))
    del flawed["components"]["schemas"]["ErrorBody"]
    files = {"served.json": spec, "flawed.json": flawed}
    for name, described in files.items():
        (tmp_path / name).write_text(json.dumps(described))
    command = [str(REPO / "node_modules" / ".bin" / "redocly"), "lint", *files, "--config", str(RULES)]
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    done = subprocess.run(
        [*command, "--format=json", "--max-problems=9999"],
        cwd=tmp_path,
        env=os.environ | quiet,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout, done.stderr
    found: dict[str, list[str]] = {name: [] for name in files}
    # one JSON text for each file, one after the other
    texts = f"[{done.stdout.strip().replace(chr(10) + '}{', chr(10) + '},{')}]"
    for problem in (problem for text in json.loads(texts) for problem in text["problems"]):
        place = problem["location"][0]
        found[Path(place["source"]["ref"]).name].append(f"{problem['ruleId']} at {place.get('pointer')}")
    assert found["served.json"] == []
    assert any(problem.startswith("no-unresolved-refs") for problem in found["flawed.json"])


def test_every_operation_is_described(spec: Any) -> None:
    tags = {tag["name"]: tag["description"] for tag in spec["tags"]}
    assert tags.keys() == {"health", *(name for name, _ in services())}
    assert all(len(text.split()) > 3 for text in tags.values())
    for name, found in operations(spec):
        assert found["summary"], name
        assert found["description"].endswith("."), name
        assert len(found["tags"]) == 1, name


def test_every_body_has_an_example_that_is_right(spec: Any) -> None:
    models = {model.__name__: model for base in (Request, Answer, RootModel) for model in subclasses(base)}
    bodies = 0
    for name, found in operations(spec):
        contents = [found.get("requestBody", {"content": {}})["content"]]
        contents += [answer.get("content", {}) for answer in found["responses"].values()]
        for content in (part for parts in contents for part in parts.values()):
            assert content.get("example") or content.get("examples"), name
            if "$ref" in content["schema"]:
                model = models[content["schema"]["$ref"].rpartition("/")[2]]
                read = model.model_validate(content["example"])
                said = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
                assert said == content["example"], name
                bodies += 1
    assert bodies > 8


def subclasses(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Every model below a base."""
    for model in base.__subclasses__():
        yield model
        yield from subclasses(model)


def test_every_code_in_the_document_is_an_error_of_ours(spec: Any) -> None:
    statuses = {error.code: (error.status, *error.also_statuses) for error in every_error()} | {"internal": (500,)}
    for name, found in operations(spec):
        for status, answer in found["responses"].items():
            for code, example in answer.get("content", {}).get("application/json", {}).get("examples", {}).items():
                assert set(example["value"]) == SHAPE
                assert example["value"]["code"] == code, name
                assert int(status) in statuses[code], name


def test_every_route_of_every_service_says_who_may_call_it(app: APIFlask) -> None:
    silent = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static" and not operation_of(app.view_functions[rule.endpoint]).summary
    }
    assert silent == set()


def test_an_error_that_the_document_does_not_name_is_found(spec: Any) -> None:
    """The tests' own stack is searched for these when it ends."""
    line = {"event": "request", "method": "POST", "route": f"{BASE}/canvas-oauth/start", "status": 422}
    known, unknown = line | {"error_code": "redirect_not_allowed"}, line | {"error_code": "conflict", "status": 409}
    elsewhere = unknown | {"route": "(no route)"}
    lines = [json.dumps(entry) for entry in (known, unknown, unknown, elsewhere, line | {"status": 200})]
    log = "\n".join(["no JSON", *lines])
    assert undocumented(log, spec) == [f"POST {BASE}/canvas-oauth/start 409 conflict"]
    with_id = line | {"route": f"{BASE}/headstart/runs/<uuid:run_id>", "method": "GET", "error_code": "not_found"}
    assert undocumented(json.dumps(with_id | {"status": 404}), spec) == []


class Box(Request):
    """A body."""

    size: int = Field(ge=1)


class Shelf(Answer):
    """An answer."""

    boxes: int


def test_what_may_happen_before_a_view_is_added_to_its_own_errors(settings: Settings) -> None:
    routes = APIBlueprint("store", __name__, tag={"name": "store", "description": "A store of boxes."})

    @routes.post("/boxes/<uuid:box_id>")
    @operation("Store", {201: Outcome("Stored.", Shelf)}, errors=(Conflict,))
    @rate_limited("store")
    @routes.input(Box, arg_name="box")
    @routes.input(WaitQuery, location="query", arg_name="query")
    @idempotent
    def store(box_id: str, box: Box, query: WaitQuery) -> Any:
        """Stores a box."""

    @routes.get("/")
    @operation("Look", {200: Outcome("The shelf.", Shelf)}, access=Access.PUBLIC)
    def look() -> Any:
        """Shows the shelf."""

    @routes.delete("/")
    @operation("Clear", {204: Outcome("Empty.")}, access=Access.ADMINISTRATION)
    def clear() -> Any:
        """Empties the shelf."""

    @routes.get("/back-door")
    def back_door() -> Any:
        """Says nothing of itself."""

    paths = document(create_service("store", routes, settings), settings)["paths"]

    def codes(path: str, method: str) -> set[str]:
        answers = paths[f"{BASE}/store{path}"][method]["responses"].values()
        bodies = [answer.get("content", {}).get("application/json", {}) for answer in answers]
        return {code for body in bodies for code in body.get("examples", ())}

    everywhere = {"internal", "payload_too_large"}
    closed = everywhere | {"unauthorized", "anonymous_forbidden", "service_unavailable"}
    assert codes("/", "get") == everywhere
    assert codes("/", "delete") == closed | {"forbidden"}
    assert codes("/boxes/{box_id}", "post") == closed | {
        "bad_request",
        "malformed_json",
        "not_found",
        "unsupported_media_type",
        "validation_failed",
        "conflict",
        "rate_limited",
        "idempotency_in_flight",
        "idempotency_mismatch",
    }
    stored = paths[f"{BASE}/store/boxes/{{box_id}}"]["post"]
    assert {(one["in"], one["name"]) for one in stored["parameters"]} == {
        ("path", "box_id"),
        ("query", "wait"),
        ("header", "Idempotency-Key"),
    }
    assert stored["security"] == [{"bearer": []}]
    assert stored["requestBody"]["required"]
    assert paths[f"{BASE}/store/"]["get"]["security"] == []
    assert paths[f"{BASE}/store/"]["delete"]["security"] == [{"bearer": []}, {"secretKey": []}]
    assert f"{BASE}/store/back-door" not in paths

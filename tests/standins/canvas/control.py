"""The stand-in's own door, /_control/*: what a test or a person at a terminal may change. Not part of Canvas."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from tests.standins.canvas.faults import KINDS
from tests.standins.canvas.oauth import world
from tests.standins.canvas.world import Assignment, Course, Fault, Switches, hostile_description

control = Blueprint("control", __name__, url_prefix="/_control")
SETS = {"visible_to", "restricted_for", "ended_for", "hidden_assignments_for"}


@control.get("/state")
def state() -> ResponseReturnValue:
    """Counts, switches, faults: enough to see what this Canvas holds."""
    known = world()
    with known.lock:
        return jsonify(
            stand_in="canvas",
            seed=known.seed,
            client_id=known.client_id,
            people=[asdict(person) for person in known.people.values()],
            courses=[
                {"id": c.id, "name": c.name, "workflow_state": c.workflow_state, "roles": c.roles}
                for c in known.courses.values()
            ],
            assignments=len(known.assignments),
            grants=sum(not grant.revoked for grant in known.grants),
            switches=asdict(known.switches),
            faults=[asdict(fault) for fault in known.faults],
            most_in_flight=known.most_in_flight,
        )


@control.post("/reset")
def reset() -> ResponseReturnValue:
    """Back to the seeded beginning."""
    world().reset()
    return jsonify({})


@control.post("/switches")
def switches() -> ResponseReturnValue:
    """Sets any of the switches by name."""
    given: dict[str, Any] = request.get_json()
    known = {entry.name for entry in fields(Switches)}
    if unknown := set(given) - known:
        return jsonify(error=f"unknown switches {sorted(unknown)}; known {sorted(known)}"), 400
    with world().lock:
        for name, value in given.items():
            setattr(world().switches, name, value)
    return jsonify(asdict(world().switches))


@control.post("/faults")
def add_fault() -> ResponseReturnValue:
    """Adds one fault: its kind, and further keys as of a fault."""
    given: dict[str, Any] = request.get_json()
    if given.get("kind") not in KINDS:
        return jsonify(error=f"kind is one of {sorted(KINDS)}"), 400
    if unknown := set(given) - {entry.name for entry in fields(Fault)}:
        return jsonify(error=f"unknown keys {sorted(unknown)}"), 400
    return jsonify(asdict(world().add_fault(**given)))


@control.delete("/faults")
def clear_faults() -> ResponseReturnValue:
    """Behaves again."""
    with world().lock:
        world().faults.clear()
    return jsonify({})


@control.get("/requests")
def requests() -> ResponseReturnValue:
    """The journal; ``?path=`` keeps the ones containing it."""
    return jsonify(world().requests(request.args.get("path", "")))


@control.delete("/requests")
def forget_requests() -> ResponseReturnValue:
    """Empties the journal."""
    with world().lock:
        world().journal.clear()
        world().most_in_flight = 0
    return jsonify({})


@control.post("/grants")
def grants() -> ResponseReturnValue:
    """``{"action": "expire" or "revoke", "person_id"?}``: one person's tokens, or everybody's."""
    given: dict[str, Any] = request.get_json()
    person_id = given.get("person_id")
    if given.get("action") == "expire":
        world().expire_tokens(person_id)
    elif given.get("action") == "revoke":
        world().revoke_grants(person_id)
    else:
        return jsonify(error="action is expire or revoke"), 400
    return jsonify({})


@control.post("/tokens")
def new_token() -> ResponseReturnValue:
    """``{"person_id", "scopes"}``: an access token without the way through consent."""
    given: dict[str, Any] = request.get_json()
    return jsonify(access_token=world().new_grant(given["person_id"], given["scopes"]).access_token), 201


@control.post("/courses")
def add_course() -> ResponseReturnValue:
    """``{"roles": {"<person id>": "student"}, ...}``; further keys as of a course."""
    given: dict[str, Any] = request.get_json()
    roles = {int(person): role for person, role in given.pop("roles").items()}
    return jsonify(id=world().add_course(roles, **_typed(given, Course)).id), 201


@control.patch("/courses/<int:course_id>")
def change_course(course_id: int) -> ResponseReturnValue:
    """Edits a course: workflow_state, name, restricted_for, ended_for, hidden_assignments_for ..."""
    world().change_course(course_id, **_typed(request.get_json(), Course))
    return jsonify({})


@control.post("/courses/<int:course_id>/assignments")
def add_assignment(course_id: int) -> ResponseReturnValue:
    """One more assignment; ``"description": "hostile"`` brings scripts, a mention and a model solution."""
    return jsonify(id=world().add_assignment(course_id, **_typed(request.get_json(), Assignment)).id), 201


@control.patch("/assignments/<int:assignment_id>")
def change_assignment(assignment_id: int) -> ResponseReturnValue:
    """Edits an assignment: deleted, published, due_at, description, visible_to ..."""
    world().change_assignment(assignment_id, **_typed(request.get_json(), Assignment))
    return jsonify({})


@control.put("/assignments/<int:assignment_id>/submissions/<int:person_id>")
def submit(assignment_id: int, person_id: int) -> ResponseReturnValue:
    """A person's submission: workflow_state, score, late, missing, excused."""
    world().submit(assignment_id, person_id, **request.get_json())
    return jsonify({})


def _typed(given: dict[str, Any], kind: type[Course] | type[Assignment]) -> dict[str, Any]:
    known = {entry.name for entry in fields(kind)}
    if unknown := set(given) - known:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    if given.get("description") == "hostile":
        given["description"] = hostile_description()
    return {name: set(value) if name in SETS and value is not None else value for name, value in given.items()}


@control.errorhandler(ValueError)
@control.errorhandler(KeyError)
def bad(error: Exception) -> ResponseReturnValue:
    """A control call that makes no sense."""
    return jsonify(error=str(error)), 400

"""The REST part of the stand-in: /api/v1/*, paged, scoped, per person."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, g, jsonify, request
from flask.typing import ResponseReturnValue

from tests.standins.canvas.oauth import world
from tests.standins.canvas.world import Assignment, Course, Person

api = Blueprint("api", __name__, url_prefix="/api/v1")
DEFAULT_PER_PAGE, MOST_PER_PAGE = 10, 100
VERIFIER = "v-secret"
CHALLENGE = 'Bearer realm="canvas-lms"'


class Refused(Exception):
    """An answer other than 200, with Canvas's own body."""

    def __init__(self, status: int, body: object, *, challenge: bool = False) -> None:
        super().__init__(status)
        self.status, self.body, self.challenge = status, body, challenge


NOT_FOUND = Refused(404, {"errors": [{"message": "The specified resource does not exist."}]})


@api.errorhandler(Refused)
def refused(error: Refused) -> ResponseReturnValue:
    """Canvas's error bodies; the challenge marks token problems only."""
    answer = jsonify(error.body)
    if error.challenge:
        answer.headers["WWW-Authenticate"] = CHALLENGE
    return answer, error.status


@api.before_request
def authenticate() -> None:
    """Bearer, expiry, scope; sets ``g.person`` and ``g.scoped``."""
    state = world()
    given = request.headers.get("Authorization", "")
    if not given.startswith("Bearer "):
        body = {"status": "unauthenticated", "errors": [{"message": "user authorization required"}]}
        raise Refused(401, body, challenge=True)
    with state.lock:
        grant = state.grant_of(given.removeprefix("Bearer ").strip())
        if grant is None or grant.expires_at < time.time():
            raise Refused(401, {"errors": [{"message": "Invalid access token."}]}, challenge=True)
        g.person = state.people[grant.person_id]
        g.scoped = bool(grant.scopes)
        if state.switches.enforce_scopes and _scope() not in grant.scopes:
            raise Refused(401, {"errors": [{"message": "Insufficient scopes on access token."}]})


SELF_SCOPES = {
    "/api/v1/users/self": "/api/v1/users/:id",
    "/api/v1/users/self/profile": "/api/v1/users/:user_id/profile",
}


def _scope() -> str:
    rule = request.url_rule.rule if request.url_rule else request.path
    rule = SELF_SCOPES.get(rule, rule)
    named = re.sub(r"<(?:\w+:)?(\w+)>", r":\1", rule)
    return f"url:{request.method}|{named}"


def included(name: str) -> bool:
    """Whether an include was asked for and is honoured; scoped tokens lose theirs unless the key allows them."""
    state = world()
    if g.scoped and state.switches.enforce_scopes and not state.switches.allow_includes:
        return False
    return name in request.args.getlist("include[]")


@api.get("/users/self")
def me() -> ResponseReturnValue:
    """The caller."""
    return answer(_person(g.person))


@api.get("/users/self/profile")
def profile() -> ResponseReturnValue:
    """The caller's profile."""
    person: Person = g.person
    extra = {"primary_email": None, "login_id": person.login, "time_zone": person.time_zone, "locale": "en"}
    calendar = {"calendar": {"ics": f"{request.host_url}feeds/calendars/user_secret{person.id}.ics"}}
    return answer({**_person(person), **extra, **calendar})


@api.get("/users/self/user_generated_tokens")
def own_tokens() -> ResponseReturnValue:
    """The caller's tokens, without what they are."""
    state = world()
    with state.lock:
        grants = [grant for grant in state.grants if grant.person_id == g.person.id and not grant.revoked]
    return paged(
        [
            {
                "token_hint": grant.access_token[:8],
                "expires_at": datetime.fromtimestamp(grant.expires_at, UTC).isoformat(),
            }
            for grant in grants
        ]
    )


@api.get("/courses")
def courses() -> ResponseReturnValue:
    """Students see available courses, teachers all but deleted ones; concluded ones leave the active list."""
    state = world()
    with state.lock:
        rows = [_course(course) for course in state.courses_of(g.person.id) if _listed(course)]
    return paged(rows)


@api.get("/courses/<int:id>")
def course(id: int) -> ResponseReturnValue:
    """One course; 404 when deleted or foreign."""
    state = world()
    with state.lock:
        return answer(_course(_visible_course(id)))


@api.get("/courses/<int:course_id>/assignments")
def assignments(course_id: int) -> ResponseReturnValue:
    """The assignments as the caller sees them; ``assignment_ids[]`` with an invisible id gets a 400 that names it."""
    state = world()
    with state.lock:
        rows = state.assignments_of(_open_course(course_id).id, g.person.id)
        wanted = [int(value) for value in request.args.getlist("assignment_ids[]") if value.isdigit()]
        if len(wanted) > MOST_PER_PAGE:
            raise Refused(400, {"message": "Too many assignment_ids"})
        if wanted and state.switches.id_confirmation:
            missing = [number for number in wanted if number not in {row.id for row in rows}]
            if missing:
                named = ",".join(str(number) for number in missing)
                raise Refused(400, {"message": f"Invalid assignment_ids: {named}"})
            rows = [row for row in rows if row.id in wanted]
        return paged(rows, _assignment)


@api.get("/courses/<int:course_id>/assignments/<int:id>")
def assignment(course_id: int, id: int) -> ResponseReturnValue:
    """One assignment; 404 when deleted, unpublished or not assigned to the caller."""
    state = world()
    with state.lock:
        rows = state.assignments_of(_open_course(course_id).id, g.person.id)
        found = next((row for row in rows if row.id == id), None)
        if found is None:
            raise NOT_FOUND
        return answer(_assignment(found))


@api.get("/courses/<int:course_id>/assignment_groups")
def assignment_groups(course_id: int) -> ResponseReturnValue:
    """Groups with their weights."""
    state = world()
    with state.lock:
        return paged(list(_open_course(course_id).groups))


@api.get("/courses/<int:course_id>/modules")
def modules(course_id: int) -> ResponseReturnValue:
    """The modules, with their items when they are asked for; 404 where the teacher hides them."""
    state = world()
    with state.lock:
        rows = [{**row, "items_count": len(row["items"])} for row in _modules(course_id)]
    if not (included("items") and state.switches.module_items):
        rows = [{key: value for key, value in row.items() if key != "items"} for row in rows]
    return paged(rows)


@api.get("/courses/<int:course_id>/modules/<int:module_id>/items")
def module_items(course_id: int, module_id: int) -> ResponseReturnValue:
    """The items of one module."""
    state = world()
    with state.lock:
        found = next((row for row in _modules(course_id) if row["id"] == module_id), None)
        if found is None:
            raise NOT_FOUND
        return paged(list(found["items"]))


def _modules(course_id: int) -> list[dict[str, Any]]:
    found = _open_course(course_id)
    if found.hides_modules:
        raise NOT_FOUND
    return sorted(found.modules, key=lambda row: row["position"])


@api.get("/planner/overrides")
def planner_overrides() -> ResponseReturnValue:
    """What the caller marked in their to-do list."""
    state = world()
    with state.lock:
        return paged(list(state.planner_overrides.get(g.person.id, [])))


@api.get("/courses/<int:course_id>/pages/<url_or_id>")
def page(course_id: int, url_or_id: str) -> ResponseReturnValue:
    """A page with its body."""
    state = world()
    with state.lock:
        found = _open_course(course_id).pages.get(url_or_id)
    if found is None:
        raise NOT_FOUND
    return answer({"page_id": 1, "url": url_or_id, "published": True, "locked_for_user": False, **found})


@api.get("/courses/<int:course_id>/files/<int:id>")
def file(course_id: int, id: int) -> ResponseReturnValue:
    """A file; its address opens without signing in."""
    state = world()
    with state.lock:
        found = _open_course(course_id).files.get(id)
    if found is None:
        raise NOT_FOUND
    url = f"{request.host_url}courses/{course_id}/files/{id}/download?verifier={VERIFIER}"
    size = len(found[1])
    return answer({"id": id, "display_name": found[0], "size": size, "url": url, "locked_for_user": False})


@api.get("/announcements")
def announcements() -> ResponseReturnValue:
    """Announcements of the given courses between two moments; one forbidden course fails all, no code gets 400."""
    state = world()
    codes = request.args.getlist("context_codes[]")
    if not codes:
        raise Refused(400, {"message": "Missing context_codes"})
    rows = []
    with state.lock:
        for code in codes:
            found = _visible_course(int(code.removeprefix("course_")))
            for row in found.announcements:
                url = f"{request.host_url}courses/{found.id}/discussion_topics/{row['id']}"
                rows.append({"html_url": url, **row, "context_code": code})
    start = _moment("start_date", timedelta(days=-14))
    end = _moment("end_date", timedelta(days=28))
    return paged([row for row in rows if start <= datetime.fromisoformat(row["posted_at"]) <= end])


def _moment(name: str, default: timedelta) -> datetime:
    given = request.args.get(name)
    return datetime.fromisoformat(given) if given else datetime.now(UTC) + default


def _visible_course(course_id: int) -> Course:
    state = world()
    found = state.courses.get(course_id)
    if found is None or found.workflow_state == "deleted" or g.person.id not in found.roles:
        raise NOT_FOUND
    return found


def _open_course(course_id: int) -> Course:
    found = _visible_course(course_id)
    if g.person.id in found.restricted_for or g.person.id in found.hidden_assignments_for:
        body = {"status": "unauthorized", "errors": [{"message": "user not authorized to perform that action"}]}
        raise Refused(world().switches.forbidden_status, body)
    return found


def _listed(course: Course) -> bool:
    person_id = g.person.id
    if course.workflow_state == "deleted":
        return False
    states = request.args.getlist("state[]")
    if request.args.get("enrollment_state") == "active" or not states:
        if course.workflow_state == "completed" or person_id in course.ended_for:
            return False
        return course.roles[person_id] == "teacher" or course.workflow_state == "available"
    return course.workflow_state in states


def _person(person: Person) -> dict[str, Any]:
    return {"id": person.id, "name": person.name, "short_name": person.name, "sortable_name": person.name}


def _course(course: Course) -> dict[str, Any]:
    person_id = g.person.id
    if person_id in course.restricted_for:
        return {"id": course.id, "access_restricted_by_date": True}
    role = course.roles[person_id]
    row: dict[str, Any] = {
        "id": course.id,
        "name": course.name,
        "course_code": course.course_code,
        "account_id": 1,
        "root_account_id": 1,
        "enrollment_term_id": 5,
        "start_at": None,
        "end_at": None,
        "default_view": "modules",
        "is_public": False,
        "time_zone": course.time_zone,
        "workflow_state": course.workflow_state,
        "calendar": {"ics": f"{request.host_url}feeds/calendars/course_secret{course.id}.ics"},
        "enrollments": [
            {"type": r, "role": f"{r.title()}Enrollment", "user_id": p, "enrollment_state": "active"}
            for p, r in course.roles.items()
            if p == person_id or role == "teacher"
        ],
    }
    if included("term"):
        row["term"] = {"id": 5, "name": course.term, "start_at": None, "end_at": None} if course.term else None
    if included("syllabus_body"):
        row["syllabus_body"] = _absolute(course.syllabus)
    if included("teachers"):
        people = world().people
        teachers = [p for p, r in course.roles.items() if r == "teacher"]
        row["teachers"] = [{"id": p, "display_name": people[p].name} for p in teachers]
    if included("concluded"):
        row["concluded"] = course.workflow_state == "completed" or person_id in course.ended_for
    return {**row, **course.extra}


def _assignment(assignment: Assignment) -> dict[str, Any]:
    state = world()
    person_id = g.person.id
    roles = state.courses[assignment.course_id].roles
    teaches = roles.get(person_id) == "teacher"
    locked = not teaches and assignment.unlock_at is not None and assignment.unlock_at > _now()
    row: dict[str, Any] = {
        "id": assignment.id,
        "course_id": assignment.course_id,
        "assignment_group_id": assignment.group_id,
        "position": assignment.position,
        "name": assignment.name,
        "description": None if locked else _absolute(assignment.description),
        "due_at": assignment.due_at,
        "unlock_at": assignment.unlock_at,
        "lock_at": assignment.lock_at,
        "points_possible": assignment.points_possible,
        "grading_type": assignment.grading_type,
        "submission_types": assignment.submission_types,
        "workflow_state": "published" if assignment.published else "unpublished",
        "published": assignment.published,
        "html_url": f"{request.host_url}courses/{assignment.course_id}/assignments/{assignment.id}",
        "created_at": assignment.created_at,
        "updated_at": assignment.updated_at,
        "locked_for_user": locked,
        "allowed_attempts": -1,
        "has_submitted_submissions": any((assignment.id, person) in state.submissions for person in roles),
        "is_quiz_assignment": "online_quiz" in assignment.submission_types,
        # a signed blob that differs at every call, so it must not be stored or hashed
        "secure_params": base64.b64encode(f"{assignment.id}.{time.time_ns()}".encode()).decode(),
    }
    if locked:
        row["lock_info"] = {"asset_string": f"assignment_{assignment.id}", "unlock_at": assignment.unlock_at}
        row["lock_explanation"] = f"This assignment is locked until {assignment.unlock_at}"
    if teaches:
        row["needs_grading_count"] = len(state.submissions)
    elif included("submission"):
        found = state.submissions.get((assignment.id, person_id), {})
        base = {"id": assignment.id * 1000 + person_id % 1000, "assignment_id": assignment.id, "user_id": person_id}
        defaults = {"workflow_state": "unsubmitted", "submitted_at": None, "late": False, "missing": False}
        moving = {"seconds_late": int(time.time())} if found.get("late") else {}
        row["submission"] = {**base, **defaults, "excused": None, **found, **moving, "body": "own words of the student"}
    return {**row, **assignment.extra}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _absolute(text: str | None) -> str | None:
    return text.replace('="/', f'="{request.host_url}') if text else text


# ---- answers ------------------------------------------------------------------------------------------------------


def _id(row: Any) -> int:
    return int(row["id"] if isinstance(row, dict) else row.id)


def _page_start(token: str, rows: Sequence[Any]) -> int:
    if token.isdigit():
        if token != "1" and world().switches.paging != "numbered":
            raise NOT_FOUND
        return (int(token) - 1) * _per_page()
    if not token.startswith("bookmark:"):
        return 0
    try:
        after = json.loads(base64.urlsafe_b64decode(token.removeprefix("bookmark:")))["after"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise NOT_FOUND from None
    ids = [_id(row) for row in rows]
    if after in ids:
        return ids.index(after) + 1
    # the bookmark's own row is gone: go on with the next higher id
    return next((index for index, number in enumerate(ids) if number > after), len(ids))


def _per_page() -> int:
    given = request.args.get("per_page", "")
    return min(int(given), MOST_PER_PAGE) if given.isdigit() and int(given) > 0 else DEFAULT_PER_PAGE


def paged(rows: Sequence[Any], show: Callable[[Any], object] = lambda row: row) -> Response:
    """One page of the rows as ``show`` makes them, with absolute links: opaque bookmarks, or numbers and a ``last``."""
    per_page = _per_page()
    start = _page_start(request.args.get("page", "1"), rows)
    page = rows[start : start + per_page]
    links = [_link("current", request.args.get("page", "1"))]
    if start + per_page < len(rows):
        if world().switches.paging == "numbered":
            following = str(start // per_page + 2)
        else:
            marker = json.dumps({"after": _id(page[-1])}).encode()
            following = f"bookmark:{base64.urlsafe_b64encode(marker).decode()}"
        links.append(_link("next", following))
    links.append(_link("first", "1"))
    switches = world().switches
    if switches.paging == "numbered" and switches.last_link:
        links.append(_link("last", str(max(-(-len(rows) // per_page), 1))))
    response = answer([show(row) for row in page])
    response.headers["link"] = ",".join(links)
    return response


def _link(rel: str, page: str) -> str:
    query = [(k, v) for k, v in request.args.items(multi=True) if k not in ("page", "per_page", "access_token")]
    query += [("page", page), ("per_page", str(_per_page()))]
    return f'<{request.base_url}?{urlencode(query)}>; rel="{rel}"'


def answer(body: object) -> Response:
    """JSON; ids as strings when the Accept header asks for them."""
    if "application/json+canvas-string-ids" in request.headers.get("Accept", ""):
        body = _string_ids(body)
    response = jsonify(body)
    response.headers["etag"] = f'W/"{hash(response.get_data()) & 0xFFFFFFFF:x}"'
    return response


def _string_ids(value: object) -> object:
    if isinstance(value, list):
        return [_string_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain: dict[str, object] = {}
    for key, item in value.items():
        if (key == "id" or key.endswith("_id")) and isinstance(item, int):
            plain[key] = str(item)
        elif key.endswith("_ids") and isinstance(item, list):
            plain[key] = [str(entry) for entry in item]
        else:
            plain[key] = _string_ids(item)
    return plain

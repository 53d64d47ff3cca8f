"""The seed's school in ``./scripts/dev``: whom to sign in as, and its Canvas.

The seed's people have courses from a Canvas that does not exist. A stand-in takes its place: it holds the same courses
and assignments under the same ids, so a sync finds what the database already has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from scripts.native.processes import PartFailed
from scripts.native.stack import Stack
from tests.standins.canvas import CLIENT_ID, CLIENT_SECRET, CanvasStandIn, NotApproved, World, approve
from tests.standins.canvas.world import Person, stamp

PASSWORD = "headstart-dev"  # noqa: S105  everybody's in supabase/seed.sql
CONNECTION = "00000000-0000-4000-8000-000000200101"
MAX_WAIT_SECONDS = 30.0

ACCOUNTS = """
    select u.email, p.role::text, p.display_name, count(i.*) > 0 as has_canvas
    from auth.users as u
    join public.profiles as p on p.user_id = u.id
    left join public.integrations as i on i.user_id = u.id and i.lms_connection_id = %s and i.status = 'connected'
    where u.email like '%%@headstart.test'
    group by u.id, p.user_id order by min(u.id::text)
"""
PEOPLE = """
    select i.external_user_id::bigint as id, p.display_name as name, split_part(u.email, '@', 1) as login, u.email,
        p.role::text as role, p.timezone
    from public.integrations as i
    join public.profiles as p on p.user_id = i.user_id
    join auth.users as u on u.id = i.user_id
    where i.lms_connection_id = %s and i.external_user_id is not null and i.status <> 'revoked'
"""
COURSES = """
    select c.canvas_course_id as id, c.name, c.course_code, c.term, c.time_zone, c.workflow_state,
        i.external_user_id::bigint as person
    from public.courses as c join public.integrations as i on i.id = c.integration_id
    where i.lms_connection_id = %s and i.external_user_id is not null and i.status <> 'revoked' order by c.id
"""
FILES = """
    select d.storage_key as key, d.mime_type from public.documents as d where d.status = 'uploaded'
    union all
    select k.key, k.mime_type from public.lectures as l,
        lateral (values
            (l.audio_storage_key, 'audio/mp4'), (l.transcript_storage_key, 'application/json'),
            (l.captions_storage_key, 'text/vtt')
        ) as k (key, mime_type)
    where k.key is not null
"""
ASSIGNMENTS = """
    select a.canvas_assignment_id as id, c.canvas_course_id as course_id, a.title as name,
        a.description_html as description, a.due_at, a.unlock_at, a.lock_at, a.points_possible::float,
        a.submission_types, a.position, a.submission, i.external_user_id::bigint as person
    from public.assignments as a join public.courses as c on c.id = a.course_id
    join public.integrations as i on i.id = c.integration_id
    where i.lms_connection_id = %s and i.external_user_id is not null and i.status <> 'revoked' order by a.id
"""


def accounts(db_url: str) -> str:
    """A table of the seed's people: e-mail address, role, name, and whether they have courses from Canvas."""
    with psycopg.connect(db_url) as db:
        rows = db.execute(ACCOUNTS, (CONNECTION,)).fetchall()
    lines = [f"Sign in with the password {PASSWORD} as one of:"]
    lines += [
        f"  {email:30} {role:8} {name or ''}{', connected to Canvas' if has_canvas else ''}"
        for email, role, name, has_canvas in rows
    ]
    return "\n".join(lines)


@contextlib.contextmanager
def canvas(stack: Stack, port: int) -> Iterator[None]:
    """Runs the stand-in in this process, and connects the seed's school and its people to it.

    People who connect later choose on its consent page who they are there.
    """
    stand_in = CanvasStandIn(port=port)
    with psycopg.connect(stack.db_url, row_factory=dict_row) as db:
        found = db.execute("select 1 from public.lms_connections where id = %s", (CONNECTION,)).fetchone()
        if not found:
            stack.say("Canvas: none, because the seed's school is no longer in this database")
            yield
            return
        people = fill(stand_in.world, db)
        row = (stand_in.domain, CLIENT_ID, CONNECTION)
        db.execute("update public.lms_connections set instance_domain = %s, oauth_client_id = %s where id = %s", row)
        db.execute("update public.integrations set instance_domain = %s where lms_connection_id = %s", (row[0], row[2]))
    with stand_in:
        put_secret(stack, CONNECTION, CLIENT_SECRET)
        # Canvas would throttle so many exchanges of codes from one address
        stand_in.world.switches.throttle = False
        connected = [person["login"] for person in people if connect(stack, person)]
        stand_in.world.switches.throttle = True
        stand_in.world.switches.approve = "ask"
        stack.say(
            f"Canvas: our stand-in at {stand_in.url} (tests/standins/canvas), for {', '.join(connected) or 'nobody'}"
        )
        yield


def store_files(stack: Stack) -> None:
    """Stores a file for each of the seed's rows that names one and has none: the sweep would set such rows failed.

    :raise PartFailed: Storage refused one
    """
    with psycopg.connect(stack.db_url, row_factory=dict_row) as db:
        rows = db.execute(
            f"select f.* from ({FILES}) as f where not exists ("
            " select from storage.objects as o where o.bucket_id || '/' || o.name = f.key)"
        ).fetchall()
    headers = {"Authorization": f"Bearer {stack.keys.secret_key}", "apikey": stack.keys.secret_key}
    for row in rows:
        answer = httpx.post(
            f"{stack.url}/storage/v1/object/{row['key']}",
            headers={**headers, "Content-Type": row["mime_type"]},
            content=b"A file of the seed, without content of its own.\n",
            timeout=MAX_WAIT_SECONDS,
            trust_env=False,
        )
        if not answer.is_success:
            raise PartFailed(f"Storage refused a file of the seed with {answer.status_code}: {answer.text[:500]}")


def fill(world: World, db: psycopg.Connection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Gives the stand-in the people, courses and assignments that the database has from it; returns the people."""
    people = db.execute(PEOPLE, (CONNECTION,)).fetchall()
    for row in people:
        world.people[row["id"]] = Person(row["id"], row["name"] or row["login"], row["login"], row["timezone"])
    teachers = {row["id"]: "teacher" for row in people if row["role"] == "teacher"}
    for row in db.execute(COURSES, (CONNECTION,)).fetchall():
        person = row.pop("person")
        course = world.courses.get(row["id"]) or world.add_course(teachers, **row)
        course.roles[person] = "student"
    for row in db.execute(ASSIGNMENTS, (CONNECTION,)).fetchall():
        person, submission = row.pop("person"), row.pop("submission")
        for name in ("due_at", "unlock_at", "lock_at"):
            row[name] = stamp(row[name]) if row[name] else None
        if row["id"] not in world.assignments:
            world.add_assignment(row.pop("course_id"), **row)
        if submission and submission.get("workflow_state") != "unsubmitted":
            world.submissions[row["id"], person] = submission
    return people


def put_secret(stack: Stack, connection: str, secret: str) -> None:
    """Stores the secret of a school's developer key, as an administrator does.

    :raise PartFailed: the functions refused it
    """
    url = f"{stack.functions_url}/canvas-oauth/connections/{connection}/secret"
    headers = {"Authorization": f"Bearer {stack.keys.secret_key}"}
    body = {"client_secret": secret}
    answer = httpx.put(url, headers=headers, json=body, timeout=MAX_WAIT_SECONDS, trust_env=False)
    if not answer.is_success:
        raise PartFailed(f"the functions refused the secret of Canvas with {answer.status_code}: {answer.text[:500]}")


def connect(stack: Stack, person: dict[str, Any]) -> bool:
    """Connects one of the seed's people anew, because the stand-in forgets its grants when it ends.

    False if they cannot sign in, because a developer may have changed the account's password or deleted it. False also
    if functions or stand-in refuse them after that; then one sentence says why.
    """
    oauth = f"{stack.functions_url}/canvas-oauth"
    with httpx.Client(timeout=MAX_WAIT_SECONDS, trust_env=False) as client:
        try:
            signed_in = client.post(
                f"{stack.url}/auth/v1/token?grant_type=password",
                headers={"apikey": stack.keys.publishable_key},
                json={"email": person["email"], "password": PASSWORD},
            )
            if signed_in.status_code == httpx.codes.BAD_REQUEST:
                return False
            client.headers["Authorization"] = f"Bearer {signed_in.raise_for_status().json()['access_token']}"
            started = client.post(f"{oauth}/start", json={"lms_connection_id": CONNECTION}).raise_for_status()
            approved = approve(started.json()["authorize_url"], person["login"])
            client.post(f"{oauth}/complete", json=approved).raise_for_status()
        except (httpx.HTTPError, NotApproved) as error:
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            stack.say(f"Canvas: {person['login']} is not connected, because of this: {reason}. Start dev again.")
            return False
    return True

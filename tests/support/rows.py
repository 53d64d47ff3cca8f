"""Rows that many tests need: a school's Canvas, a person's grant, courses, assignments, the catalogue."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

_numbers = itertools.count(1)


def one(db: Connection, statement: str, parameters: Any = None) -> Any:
    """The first column of the first row, None when there is no row."""
    row = db.execute(statement.encode(), parameters).fetchone()
    return row[0] if row else None


def connection(db: Connection, **columns: Any) -> uuid.UUID:
    """An installation of Canvas."""
    return insert(
        db, "public.lms_connections", {"instance_domain": f"canvas-{uuid.uuid4().hex}.test", "name": "School"}, columns
    )


def integration(db: Connection, user_id: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A person's connected Canvas grant, at an installation of its own unless one is given."""
    lms_connection_id = columns.pop("lms_connection_id", None) or connection(db)
    domain = one(db, "select instance_domain from public.lms_connections where id = %s", (lms_connection_id,))
    given = {
        "user_id": user_id,
        "provider": "canvas",
        "lms_connection_id": lms_connection_id,
        "instance_domain": domain,
        "status": "connected",
    }
    return insert(db, "public.integrations", given, columns)


def course(db: Connection, user_id: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A person's Canvas course, through a grant of its own unless one is given."""
    integration_id = columns.pop("integration_id", None) or integration(db, user_id)
    given = {
        "user_id": user_id,
        "integration_id": integration_id,
        "canvas_course_id": next(_numbers),
        "name": "Chemistry",
    }
    return insert(db, "public.courses", given, columns)


def assignment(db: Connection, user_id: uuid.UUID, **columns: Any) -> uuid.UUID:
    """A person's assignment, in a course of its own unless one is given."""
    course_id = columns.pop("course_id", None) or course(db, user_id)
    given = {"user_id": user_id, "course_id": course_id, "canvas_assignment_id": next(_numbers), "title": "Lab report"}
    return insert(db, "public.assignments", given, columns)


def catalog_course(db: Connection, **columns: Any) -> uuid.UUID:
    """A course of the school, with a code nobody else has."""
    code = "".join(chr(ord("A") + int(digit)) for digit in str(uuid.uuid4().int)[:20])
    return insert(db, "public.catalog_courses", {"code": f"{code} 101", "title": "Chemistry"}, columns)


def lecture(db: Connection, **columns: Any) -> uuid.UUID:
    """A pending lecture without links, in a catalogue course of its own unless one is given."""
    course_id = columns.pop("catalog_course_id", None) or catalog_course(db)
    session = uuid.uuid4()
    given = {
        "catalog_course_id": course_id,
        "panopto_host": "video.test",
        "panopto_session_id": str(session),
        "panopto_url": f"https://video.test/Viewer.aspx?id={session}",
        "stream_url": f"https://video.test/stream/{session}",
    }
    return insert(db, "public.lectures", given, columns)


def insert(db: Connection, table: str, *parts: dict[str, Any]) -> uuid.UUID:
    """Inserts one row, later parts winning over earlier ones, and returns its id."""
    columns = {name: value for part in parts for name, value in part.items()}
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    made: uuid.UUID = one(db, f"insert into {table} ({names}) values ({marks}) returning id", list(columns.values()))
    return made


def lti_deployment(db: Connection) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """A platform, our client there, and a deployment for a school of its own."""
    platform = one(
        db,
        "select public.svc_register_lti_platform(%s, 'https://sso.test/jwks', 'https://sso.test/auth', "
        "'https://sso.test/token', 'Canvas')",
        (f"https://{uuid.uuid4().hex}.test",),
    )
    client = one(db, "select public.svc_register_lti_client(%s, '10000000000001')", (platform,))
    deployment = one(db, "select public.svc_register_lti_deployment(%s, '1:abc', %s)", (client, connection(db)))
    return platform, client, deployment

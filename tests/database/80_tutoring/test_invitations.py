"""Codes with which students invite parents and tutors: who may make and use them, once, and what they change."""

from __future__ import annotations

import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from scripts.native.stack import Stack
from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import insert, one
from tests.support.tutoring import assign, session, subject

Connection = psycopg.Connection[Any]
CREATE = "select public.create_invitation(%s, %s)"
REDEEM = "select public.redeem_invitation(%s)"
NOBODYS = uuid.UUID(int=7)


def invite(db: Connection, student: uuid.UUID, kind: str = "guardian", subject_id: uuid.UUID | None = None) -> str:
    with act_as(db, student):
        return str(one(db, CREATE, (kind, subject_id)))


def redeem(db: Connection, person: uuid.UUID, code: str) -> Any:
    with act_as(db, person):
        return one(db, REDEEM, (code,))


def test_a_parent_redeems_a_code_as_people_type_it(db: Connection) -> None:
    student, parent = persona(db), persona(db, "parent")
    code = invite(db, student)
    assert re.fullmatch("[A-HJ-NP-Z2-9]{10}", code)
    stored = one(db, "select to_jsonb(i)::text from private.invitations as i where created_by = %s", (student,))
    assert code not in stored
    row = redeem(db, parent, f" {code[:5].lower()}-{code[5:].lower()} ")
    assert (row["parent_id"], row["student_id"], row["status"]) == (str(parent), str(student), "active")
    assert (row["consent_basis"], row["consented_by"]) == ("student_consent", str(student))
    with act_as(db, parent):
        assert one(db, "select count(*) from public.profiles where user_id = %s", (student,)) == 1
    assert redeem(db, parent, code) is None, "a code works once"


@pytest.mark.parametrize("status", ["pending", "revoked", "active"])
def test_a_guardianship_that_exists_becomes_active_again(db: Connection, status: str) -> None:
    student, parent = persona(db), persona(db, "parent")
    made = insert(db, "public.guardianships", {"parent_id": parent, "student_id": student}, {})
    if status == "active":
        with act_as(db, student):
            db.execute("select public.respond_guardianship(%s, true)", (made,))
    elif status == "revoked":
        with act_as(db, student):
            db.execute("select public.revoke_guardianship(%s)", (made,))
    row = redeem(db, parent, invite(db, student))
    assert (row["id"], row["status"], row["consent_basis"]) == (str(made), "active", "student_consent")


def test_a_tutor_gets_the_subject_and_no_more(db: Connection) -> None:
    student, tutor, maths = persona(db), persona(db, "tutor"), subject(db)
    row = redeem(db, tutor, invite(db, student, "tutor", maths))
    assert (row["tutor_id"], row["subject_id"], row["status"]) == (str(tutor), str(maths), "active")
    mine = session(db, student, subject_id=maths)
    session(db, student, subject_id=subject(db))
    with act_as(db, tutor):
        assert one(db, "select array_agg(id) from public.tutoring_sessions") == [mine]
    assert redeem(db, tutor, invite(db, student, "tutor"))["subject_id"] is None


@pytest.mark.parametrize("status", ["paused", "completed"])
def test_a_code_does_not_undo_what_staff_ended(db: Connection, status: str) -> None:
    student, tutor = persona(db), persona(db, "tutor")
    made = assign(db, tutor, student)
    db.execute("update public.tutor_student_assignments set status = %s where id = %s", (status, made))
    code = invite(db, student, "tutor")
    assert redeem(db, tutor, code) is None
    assert one(db, "select status::text from public.tutor_student_assignments where id = %s", (made,)) == status
    assert one(db, "select used_at from private.invitations where created_by = %s", (student,)) is None


def test_every_refusal_is_the_same(db: Connection) -> None:
    student, parent, tutor = persona(db), persona(db, "parent"), persona(db, "tutor")
    for person, code in (
        (tutor, invite(db, student)),
        (parent, invite(db, student, "tutor")),
        (persona(db), invite(db, student)),
        (student, invite(db, student)),
        (parent, "AAAAAAAAAA"),
        (parent, ""),
        (parent, "x" * 100_000),
        (parent, "\u202e\u0661"),
    ):
        assert redeem(db, person, code) is None
    late = invite(db, student)
    freeze(db, one(db, "select (now() + interval '7 days 1 s')::text"))
    assert redeem(db, parent, late) is None
    assert one(db, "select count(*) from public.guardianships where student_id = %s", (student,)) == 0


def test_an_inviter_who_is_no_student_any_more_invites_nobody(db: Connection) -> None:
    student, parent = persona(db), persona(db, "parent")
    code = invite(db, student)
    db.execute("update public.profiles set role = 'teacher' where user_id = %s", (student,))
    assert redeem(db, parent, code) is None


def test_who_may_invite_and_for_what(db: Connection) -> None:
    student = persona(db)
    for role in ("parent", "tutor", "teacher"):
        with act_as(db, persona(db, role)):
            refused(db, "42501", CREATE, ("guardian", None))
    with act_as(db, student):
        refused(db, "22004", CREATE, (None, None))
        refused(db, "22004", REDEEM, (None,))
        refused(db, "22023", CREATE, ("guardian", NOBODYS))
        refused(db, "23503", CREATE, ("tutor", NOBODYS))
        refused(db, "22P02", CREATE, ("admin", None))
    with act_as(db, None, "anon"):
        refused(db, "42501", REDEEM, ("AAAAAAAAAA",))


def test_old_codes_are_forgotten(db: Connection) -> None:
    student = persona(db)
    invite(db, student)
    for days, left in ((36, 1), (38, 0)):
        freeze(db, one(db, f"select (now() + interval '{days} days')::text"))
        db.execute("select private.purge_tutoring()")
        assert one(db, "select count(*) from private.invitations where created_by = %s", (student,)) == left


def test_tries_are_counted_and_two_at_once_share_no_code(stack: Stack) -> None:
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        student = persona(db)
        parents = [persona(db, "parent"), persona(db, "parent")]
        code = invite(db, student)

        def one_of_two(parent: uuid.UUID) -> Any:
            with psycopg.connect(stack.db_url) as own:
                return redeem(own, parent, code)

        with ThreadPoolExecutor(2) as pool:
            assert sorted(row is None for row in pool.map(one_of_two, parents)) == [False, True]
    token = stack.keys.sign({"sub": str(parents[0]), "role": "authenticated", "aud": "authenticated"})
    headers = {"apikey": stack.keys.publishable_key, "Authorization": f"Bearer {token}"}
    url = f"{stack.url}/rest/v1/rpc/redeem_invitation"
    answers = [httpx.post(url, headers=headers, json={"p_code": "AAAAAAAAAA"}) for _ in range(11)]
    assert {(answer.status_code, answer.text) for answer in answers[:9]} == {(200, "null")}
    assert (answers[10].status_code, answers[10].json()["code"]) == (429, "rate_limited")
    assert 1 <= int(answers[10].headers["Retry-After"]) <= 3600

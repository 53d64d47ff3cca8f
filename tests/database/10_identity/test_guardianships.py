"""Consent: who gives it, when it begins, when it ends."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from tests.support.machines import outcomes
from tests.support.people import act_as, freeze, persona, refused
from tests.support.rows import insert, one

Connection = psycopg.Connection[Any]


@dataclass
class Family:
    db: Connection
    parent: uuid.UUID
    child: uuid.UUID
    admin: uuid.UUID
    id: uuid.UUID

    def column(self, name: str) -> Any:
        return one(self.db, f"select {name} from public.guardianships where id = %s", (self.id,))

    def sees(self) -> tuple[bool, int]:
        """What the parent gets: whether the child is in their list, and rows of the child's profile."""
        with act_as(self.db, self.parent):
            visible = one(self.db, "select count(*) from public.profiles where user_id = %s", (self.child,))
        self.db.execute("select set_config('request.jwt.claims', %s, true)", (f'{{"sub": "{self.parent}"}}',))
        guards = self.child in one(self.db, "select private.guarded_students()")
        self.db.execute("select set_config('request.jwt.claims', '', true)")
        return guards, visible

    def accept(self) -> None:
        with act_as(self.db, self.child):
            self.db.execute("select public.respond_guardianship(%s, true)", (self.id,))


@pytest.fixture
def family(db: Connection) -> Family:
    parent, child, admin = persona(db, "parent"), persona(db), persona(db, "admin")
    made = insert(db, "public.guardianships", {"parent_id": parent, "student_id": child})
    return Family(db, parent, child, admin, made)


def test_its_states(db: Connection) -> None:
    def born(state: str) -> Any:
        given = {"parent_id": persona(db, "parent"), "student_id": persona(db), "status": state}
        consent = {"consent_basis": "student_consent", "consented_at": "2030-01-01T00:00:00Z"}
        return insert(db, "public.guardianships", given, consent)

    births, changes = outcomes(db, "guardianships", ["pending", "active", "revoked"], born)
    assert births == {"pending"}
    assert changes == {"pending>active", "pending>revoked", "active>revoked", "revoked>pending"}


def test_asking_gives_nothing_and_accepting_is_the_consent(family: Family) -> None:
    assert family.sees() == (False, 0)
    freeze(family.db, "2030-05-05T10:00:00Z")
    family.accept()
    assert family.sees() == (True, 1)
    assert family.column("(status, consent_basis, consented_by)::text") == f"(active,student_consent,{family.child})"
    assert family.column("consented_at") == datetime.datetime(2030, 5, 5, 10, tzinfo=datetime.UTC)


def test_refusing_revokes(family: Family) -> None:
    with act_as(family.db, family.child):
        status = one(family.db, "select (public.respond_guardianship(%s, false)).status", (family.id,))
    assert status == "revoked"
    assert family.sees() == (False, 0)


@pytest.mark.parametrize("answer", ["true", "false"])
def test_only_the_student_answers(family: Family, answer: str) -> None:
    call = f"select public.respond_guardianship(%s, {answer})"
    with act_as(family.db, family.parent):
        refused(family.db, "42501", call, (family.id,))
    with act_as(family.db, persona(family.db)):
        refused(family.db, "PT404", call, (family.id,))
        refused(family.db, "PT404", call, (uuid.uuid4(),))
        refused(family.db, "22004", call, (None,))
        refused(family.db, "22004", "select public.respond_guardianship(%s, null)", (family.id,))
    with act_as(family.db, None, "anon"):
        refused(family.db, "42501", call, (family.id,))
    assert family.column("status") == "pending"


def test_only_a_pending_one_is_answered(family: Family) -> None:
    family.accept()
    with act_as(family.db, family.child):
        refused(family.db, "23514", "select public.respond_guardianship(%s, true)", (family.id,))
        refused(family.db, "23514", "select public.respond_guardianship(%s, false)", (family.id,))
    assert family.column("status") == "active"


@pytest.mark.parametrize("who", ["parent", "child"])
def test_either_side_ends_it_at_once_and_may_say_so_twice(family: Family, who: str) -> None:
    family.accept()
    with act_as(family.db, getattr(family, who)):
        for _ in range(2):
            assert one(family.db, "select (public.revoke_guardianship(%s)).status", (family.id,)) == "revoked"
    assert family.column("revoked_at is not null")
    assert family.sees() == (False, 0)


def test_nobody_else_ends_it(family: Family) -> None:
    family.accept()
    with act_as(family.db, persona(family.db, "parent")):
        refused(family.db, "PT404", "select public.revoke_guardianship(%s)", (family.id,))
        refused(family.db, "22004", "select public.revoke_guardianship(null)")
    assert family.column("status") == "active"


def test_asking_again_forgets_the_old_consent(family: Family) -> None:
    family.accept()
    family.db.execute(
        "update public.guardianships set status = 'revoked', valid_until = '2099-01-01' where id = %s", (family.id,)
    )
    family.db.execute("update public.guardianships set status = 'pending' where id = %s", (family.id,))
    assert family.column("num_nonnulls(consent_basis, consented_by, consented_at, valid_until, revoked_at)") == 0
    assert family.sees() == (False, 0)
    family.accept()
    assert family.sees() == (True, 1)


def test_staff_records_a_minor_until_a_day(family: Family) -> None:
    with act_as(family.db, family.admin, "app_admin"):
        record = "update public.guardianships set status = 'active', consent_basis = 'minor_verified'"
        refused(family.db, "23514", f"{record} where id = %s", (family.id,))
        family.db.execute(f"{record}, valid_until = '2030-06-30' where id = %s", (family.id,))
    assert family.column("consented_by") == family.admin
    freeze(family.db, "2030-06-30T23:59:59Z")
    assert family.sees() == (True, 1)
    freeze(family.db, "2030-07-01T00:00:00Z")
    assert family.sees() == (False, 0)


def test_the_last_day_is_a_utc_day_whatever_zone_the_client_asks_for(family: Family) -> None:
    family.accept()
    family.db.execute("update public.guardianships set valid_until = '2030-06-30' where id = %s", (family.id,))
    freeze(family.db, "2030-06-30T23:59:59Z")
    family.db.execute("set local time zone 'Pacific/Auckland'")
    assert family.sees() == (True, 1)
    freeze(family.db, "2030-07-01T00:00:00Z")
    family.db.execute("set local time zone 'America/Los_Angeles'")
    assert family.sees() == (False, 0)


def test_consent_needs_a_basis_and_cannot_be_born_active(family: Family) -> None:
    refused(family.db, "23514", "update public.guardianships set status = 'active' where id = %s", (family.id,))
    with act_as(family.db, family.admin, "app_admin"):
        insert_active = (
            "insert into public.guardianships (parent_id, student_id, status, consent_basis, consented_at)"
            " values (%s, %s, 'active', 'student_consent', now())"
        )
        refused(family.db, "23514", insert_active, (persona_in(family, "parent"), family.child))


def persona_in(family: Family, role: str) -> uuid.UUID:
    """A person made in the middle of somebody's act."""
    family.db.execute("reset role")
    made = persona(family.db, role)
    family.db.execute("set local role app_admin")
    return made


def test_the_two_must_be_a_parent_and_a_student(family: Family) -> None:
    ask = "insert into public.guardianships (parent_id, student_id) values (%s, %s)"
    tutor = persona(family.db, "tutor")
    refused(family.db, "23514", ask, (tutor, family.child))
    refused(family.db, "23514", ask, (family.parent, tutor))
    refused(family.db, "23514", ask, (family.parent, family.parent))
    refused(family.db, "23505", ask, (family.parent, family.child))
    refused(family.db, "23503", ask, (uuid.uuid4(), family.child))


def test_people_see_their_own_and_change_nothing_by_table(family: Family) -> None:
    for person, expected in [(family.parent, 1), (family.child, 1), (persona(family.db, "parent"), 0)]:
        with act_as(family.db, person):
            assert one(family.db, "select count(*) from public.guardianships where id = %s", (family.id,)) == expected
            refused(family.db, "42501", "update public.guardianships set status = 'active'")
            refused(family.db, "42501", "delete from public.guardianships")
            ask = "insert into public.guardianships (parent_id, student_id) values (%s, %s)"
            refused(family.db, "42501", ask, (family.parent, family.child))


def test_staff_proposes_sees_and_deletes(family: Family) -> None:
    parent = persona(family.db, "parent")
    with act_as(family.db, family.admin, "app_admin"):
        made = insert(family.db, "public.guardianships", {"parent_id": parent, "student_id": family.child})
        assert family.db.execute("delete from public.guardianships where id = %s", (made,)).rowcount == 1


def test_every_change_is_audited(family: Family) -> None:
    family.accept()
    lines = family.db.execute(
        "select action, actor_id, subject_user_id, detail from private.audit_log"
        " where entity = 'guardianships' and entity_id = %s order by id",
        (str(family.id),),
    ).fetchall()
    assert [line[:3] for line in lines] == [
        ("insert", None, family.child),
        ("update", family.child, family.child),
    ]
    assert lines[1][3]["before"]["status"] == "pending"
    assert lines[1][3]["after"]["status"] == "active"


def test_who_consented_may_go_and_the_consent_stays(family: Family) -> None:
    with act_as(family.db, family.admin, "app_admin"):
        family.db.execute(
            "update public.guardianships set status = 'active', consent_basis = 'minor_verified',"
            " valid_until = '2099-01-01' where id = %s",
            (family.id,),
        )
    family.db.execute("delete from auth.users where id = %s", (family.admin,))
    assert family.column("(status, consented_by)::text") == "(active,)"
    family.db.execute("delete from auth.users where id = %s", (family.child,))
    assert one(family.db, "select count(*) from public.guardianships where id = %s", (family.id,)) == 0

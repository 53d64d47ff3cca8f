"""Who sees whose profile, and what people may change about themselves."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.support.people import act_as, persona, refused
from tests.support.rows import insert, one

Connection = psycopg.Connection[Any]


def profiles_seen(db: Connection, person: uuid.UUID, role: str = "authenticated") -> set[uuid.UUID]:
    with act_as(db, person, role):
        return {row[0] for row in db.execute("select user_id from public.profiles")}


def tutoring(db: Connection, tutor: uuid.UUID, student: uuid.UUID, **columns: Any) -> uuid.UUID:
    return insert(db, "public.tutor_student_assignments", {"tutor_id": tutor, "student_id": student}, columns)


def care(db: Connection, parent: uuid.UUID, student: uuid.UUID, *, active: bool = True) -> uuid.UUID:
    made = insert(db, "public.guardianships", {"parent_id": parent, "student_id": student})
    if active:
        db.execute(
            "update public.guardianships set status = 'active', consent_basis = 'student_consent' where id = %s",
            (made,),
        )
    return made


def test_a_stranger_sees_himself_alone(db: Connection) -> None:
    person = persona(db)
    persona(db, "tutor")
    assert profiles_seen(db, person) == {person}


def test_tutor_and_student_see_each_other(db: Connection) -> None:
    tutor, student, other = persona(db, "tutor"), persona(db), persona(db)
    tutoring(db, tutor, student)
    assert profiles_seen(db, tutor) == {tutor, student}
    assert profiles_seen(db, student) == {student, tutor}
    assert profiles_seen(db, other) == {other}


def test_a_paused_tutor_keeps_seeing_the_profile_and_a_former_one_does_not(db: Connection) -> None:
    tutor, student = persona(db, "tutor"), persona(db)
    made = tutoring(db, tutor, student)
    db.execute("update public.tutor_student_assignments set status = 'paused' where id = %s", (made,))
    assert profiles_seen(db, tutor) == {tutor, student}
    db.execute("update public.tutor_student_assignments set status = 'completed' where id = %s", (made,))
    assert profiles_seen(db, tutor) == {tutor}


def test_a_parent_with_consent_sees_the_child_and_the_childs_tutor(db: Connection) -> None:
    parent, child, tutor = persona(db, "parent"), persona(db), persona(db, "tutor")
    tutoring(db, tutor, child)
    made = care(db, parent, child, active=False)
    assert profiles_seen(db, parent) == {parent}
    db.execute(
        "update public.guardianships set status = 'active', consent_basis = 'student_consent' where id = %s", (made,)
    )
    assert profiles_seen(db, parent) == {parent, child, tutor}
    assert profiles_seen(db, child) == {child, parent, tutor}
    db.execute("update public.guardianships set status = 'revoked' where id = %s", (made,))
    assert profiles_seen(db, parent) == {parent}
    assert profiles_seen(db, child) == {child, tutor}


def test_staff_sees_everybody_and_anonymous_sign_ins_nobody(db: Connection) -> None:
    admin, person = persona(db, "admin"), persona(db)
    assert {admin, person} <= profiles_seen(db, admin, "app_admin")
    guest = persona(db, anonymous=True)
    with act_as(db, guest, is_anonymous=True):
        assert one(db, "select count(*) from public.profiles") == 0
        assert db.execute("update public.profiles set display_name = 'x'").rowcount == 0


def test_a_person_edits_name_picture_and_zone_of_himself_only(db: Connection) -> None:
    person, other = persona(db), persona(db, name="Ben")
    with act_as(db, person):
        changed = db.execute(
            "update public.profiles set display_name = 'Ada', avatar_url = 'https://a.test/a.png',"
            " timezone = 'Europe/Berlin'"
        )
        assert changed.rowcount == 1
        refused(db, "42501", "update public.profiles set role = 'admin'")
        refused(db, "42501", "insert into public.profiles (user_id) values (%s)", (uuid.uuid4(),))
        refused(db, "42501", "delete from public.profiles")
    assert one(db, "select display_name from public.profiles where user_id = %s", (other,)) == "Ben"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"])
def test_known_zones_pass(db: Connection, zone: str) -> None:
    person = persona(db)
    with act_as(db, person):
        db.execute("update public.profiles set timezone = %s", (zone,))
    assert one(db, "select timezone from public.profiles where user_id = %s", (person,)) == zone


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "europe/berlin ", "UTC+25", "'; select 1", "x" * 65])
def test_unknown_zones_are_refused(db: Connection, zone: str) -> None:
    with act_as(db, persona(db)):
        refused(db, "23514", "update public.profiles set timezone = %s", (zone,))


def source(db: Connection, person: uuid.UUID) -> Any:
    return one(db, "select timezone_source from public.profiles where user_id = %s", (person,))


def test_a_zone_that_the_person_changes_is_the_persons(db: Connection) -> None:
    person = persona(db)
    assert source(db, person) == "default"
    db.execute(
        "update public.profiles set timezone = 'Europe/Berlin', timezone_source = 'canvas' where user_id = %s",
        (person,),
    )
    assert source(db, person) == "canvas"
    with act_as(db, person):
        db.execute("update public.profiles set timezone = 'Europe/Berlin', display_name = 'Ada'")
    assert source(db, person) == "canvas", "the same value is no choice"
    with act_as(db, person):
        db.execute("update public.profiles set timezone = 'Asia/Kolkata'")
    assert source(db, person) == "person"
    with act_as(db, person):
        db.execute("update public.profiles set timezone = 'UTC'")
        refused(db, "42501", "update public.profiles set timezone_source = 'default'")
    assert source(db, person) == "person"


def test_the_service_says_where_a_zone_comes_from(db: Connection) -> None:
    person, other = persona(db), persona(db)
    with act_as(db, other, "service_role"):  # a caller's claims without being the person
        db.execute(
            "update public.profiles set timezone = 'Europe/Paris', timezone_source = 'canvas' where user_id = %s",
            (person,),
        )
    assert source(db, person) == "canvas"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(" Ada\n\u202e ", "Ada"), ("\u200b", None), ("", None), ("Zoë", "Zoë"), ("a\u0001b", "a b")],
)
def test_a_name_is_cleaned_however_it_comes(db: Connection, sent: str, kept: str | None) -> None:
    person = persona(db)
    with act_as(db, person):
        db.execute("update public.profiles set display_name = %s", (sent,))
    assert one(db, "select display_name from public.profiles where user_id = %s", (person,)) == kept


def test_overlong_text_is_refused(db: Connection) -> None:
    with act_as(db, persona(db)):
        refused(db, "23514", "update public.profiles set display_name = %s", ("x" * 201,))
        refused(db, "23514", "update public.profiles set avatar_url = %s", ("x" * 2001,))


def test_settings_are_ones_own_and_bounded(db: Connection) -> None:
    person, other = persona(db), persona(db)
    with act_as(db, person):
        db.execute("update public.user_settings set nudge_frequency_cap = 20, learning_style = 'visual'")
        assert [row[0] for row in db.execute("select user_id from public.user_settings")] == [person]
        refused(db, "23514", "update public.user_settings set nudge_frequency_cap = 21")
        refused(db, "23514", "update public.user_settings set nudge_frequency_cap = -1")
        refused(db, "23514", "update public.user_settings set preferences = '[]'")
        refused(db, "23514", "update public.user_settings set preferences = %s", (f'{{"a": "{"x" * 70000}"}}',))
        refused(db, "42501", "update public.user_settings set user_id = gen_random_uuid()")
    assert one(db, "select nudge_frequency_cap from public.user_settings where user_id = %s", (other,)) == 1
    with act_as(db, persona(db, "admin"), "app_admin"):
        assert one(db, "select count(*) from public.user_settings where user_id = %s", (person,)) == 0


def test_the_disclaimer_once_shown_stays_shown(db: Connection) -> None:
    with act_as(db, persona(db)):
        db.execute("update public.user_settings set disclaimer_shown = false")
        db.execute("update public.user_settings set disclaimer_shown = true")
        db.execute("update public.user_settings set disclaimer_shown = true")
        refused(db, "23514", "update public.user_settings set disclaimer_shown = false")


def test_statistics_are_read_by_those_who_may_and_written_by_nobody(db: Connection) -> None:
    student, parent, everything, algebra = (
        persona(db),
        persona(db, "parent"),
        persona(db, "tutor"),
        persona(db, "tutor"),
    )
    subject = insert(db, "public.subjects", {"name": f"Algebra {uuid.uuid4()}"})
    care(db, parent, student)
    tutoring(db, everything, student)
    tutoring(db, algebra, student, subject_id=subject)
    mine = "select count(*) from public.user_stats where user_id = %s"
    readers = [(student, 1), (parent, 1), (everything, 1), (algebra, 0), (persona(db), 0)]
    for reader, expected in readers:
        with act_as(db, reader):
            assert one(db, mine, (student,)) == expected
            refused(db, "42501", "update public.user_stats set gamification = '{\"xp\": 1}'")
    with act_as(db, persona(db, "admin"), "app_admin"):
        assert one(db, mine, (student,)) == 1

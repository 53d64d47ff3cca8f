"""The school's courses: one spelling of a code, people's additions, and the school's own list."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import rows
from tests.support.people import act_as, freeze, persona, refused
from tests.support.races import ring
from tests.support.rows import one

Connection = psycopg.Connection[Any]

ENSURE = "select id, code, title, is_official, created_by from public.ensure_catalog_course(%s, %s)"
SYNC = "select public.svc_sync_catalog(%s)"
A_YEAR_LATER = "2100-01-01T00:00:00Z"
SYNC_AT_MOST = "select public.svc_sync_catalog(%s, %s)"


@pytest.mark.parametrize(
    ("given_code", "code"),
    [
        ("csc173-01", "CSC 173"),
        ("CSC 173W", "CSC 173W"),
        ("  csc   173 ", "CSC 173"),
        ("CSC\t173\n", "CSC 173"),
        ("csc173w-02a", "CSC 173W"),
        ("CSC 173 - 01", "CSC 173"),
        ("CSC 173-W", "CSC 173"),
        ("CSC-173", "CSC 173"),
        ("CSC-173-01-LAB", "CSC 173"),
        ("ACC 401-FA.MB", "ACC 401"),
        ("CSC 1730-01", "CSC 1730"),
        ("CSC 173AB", "CSC 173AB"),
        ("M 101-02", "M 101"),
        ("ENGL/WRIT 101", "ENGL/WRIT 101"),
        ("seminar", "SEMINAR"),
        ("101", "101"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_a_code_has_one_spelling(db: Connection, given_code: str, code: str) -> None:
    assert one(db, "select public.normalize_course_code(%s)", (given_code,)) == code


def test_no_code_is_no_code(db: Connection) -> None:
    assert one(db, "select public.normalize_course_code(null)") is None


def test_a_normal_code_stays_as_it_is(db_url: str) -> None:
    with psycopg.connect(db_url) as db:

        @settings(deadline=None, database=None)
        @given(st.text(alphabet="aZ09 -_/.\tß", max_size=20))
        def twice_is_once(code: str) -> None:
            once = one(db, "select public.normalize_course_code(%s)", (code,))
            assert one(db, "select public.normalize_course_code(%s)", (once,)) == once

        twice_is_once()


def test_only_normal_codes_are_stored(db: Connection) -> None:
    for code in ("csc 173", "CSC173", "CSC 173-01", " CSC 173", ""):
        refused(db, "23514", "insert into public.catalog_courses (code, title) values (%s, 'T')", (code,))


def test_a_missing_course_is_made_and_found_however_it_is_spelled(db: Connection) -> None:
    first, second = persona(db), persona(db)
    with act_as(db, first):
        made = db.execute(ENSURE, ("zzq173-01", "  Automata ")).fetchone()
        assert made is not None
        assert made[1:] == ("ZZQ 173", "Automata", False, first)
    with act_as(db, second):
        assert db.execute(ENSURE, ("ZZQ 173", "Other title")).fetchone() == made


def test_bad_courses(db: Connection) -> None:
    with act_as(db, persona(db)):
        refused(db, "22004", ENSURE, (None, "T"))
        refused(db, "22004", ENSURE, ("ZZQ 1", None))
        refused(db, "22023", ENSURE, ("  ", "T"))
        refused(db, "22023", ENSURE, ("ZZQ 1", " "))
        refused(db, "22023", ENSURE, ("Z" * 51, "T"))
        refused(db, "22023", ENSURE, ("ZZQ 1", "T" * 501))
    with act_as(db, None, "anon"):
        refused(db, "42501", ENSURE, ("ZZQ 1", "T"))
    with act_as(db, persona(db, anonymous=True), is_anonymous=True):
        refused(db, "42501", ENSURE, ("ZZQ 1", "T"))


def test_who_added_a_course_corrects_it_until_the_school_takes_it_over(db: Connection) -> None:
    creator, other, admin = persona(db), persona(db), persona(db, "admin")
    with act_as(db, creator):
        made = one(db, ENSURE, ("ZZQ 1", "T"))
        change = "update public.catalog_courses set title = 'Better', instructor = 'Who' where id = %s"
        assert db.execute(change, (made,)).rowcount == 1
        refused(db, "42501", "update public.catalog_courses set is_official = true where id = %s", (made,))
        refused(db, "42501", "update public.catalog_courses set code = 'ZZQ 2' where id = %s", (made,))
        refused(db, "42501", "insert into public.catalog_courses (code, title) values ('ZZQ 3', 'T')")
        refused(db, "42501", "delete from public.catalog_courses where id = %s", (made,))
    with act_as(db, other):
        assert one(db, "select title from public.catalog_courses where id = %s", (made,)) == "Better"
        assert db.execute(change, (made,)).rowcount == 0
    db.execute("update public.catalog_courses set is_official = true where id = %s", (made,))
    with act_as(db, creator):
        assert db.execute(change, (made,)).rowcount == 0
    with act_as(db, admin, "app_admin"):
        assert db.execute(change, (made,)).rowcount == 1
        refused(db, "42501", "update public.catalog_courses set code = 'ZZQ 2' where id = %s", (made,))
        added = one(db, "insert into public.catalog_courses (code, title) values ('ZZQ 3', 'T') returning id")
        assert db.execute("delete from public.catalog_courses where id = %s", (added,)).rowcount == 1


def test_two_people_at_once_make_one_course(db_url: str) -> None:
    with ring(db_url) as race:
        person, code = persona(race.owner), f"ZZR {uuid.uuid4().int % 10**9}"
        race.clean_up("auth.users", person)
        claims = json.dumps({"sub": str(person), "role": "authenticated"})
        first, second = race.session(), race.session()
        for session in (first, second):
            session.execute("select set_config('request.jwt.claims', %s, false)", (claims,))
            session.commit()
        made = one(first, ENSURE, (code, "T"))
        race.clean_up("public.catalog_courses", made)
        answer = race.start(second, ENSURE, (code, "U"))
        race.wait_until_blocked(second)
        first.commit()
        assert answer.result(10)[0] == made


@pytest.fixture
def official(db: Connection) -> list[str]:
    """Ten official courses, and no others."""
    db.execute("delete from public.lectures")
    db.execute("delete from public.documents")
    db.execute("delete from public.catalog_courses")
    codes = [f"ZZQ {number}" for number in range(10)]
    one(db, SYNC, (listed(codes),))
    return codes


def listed(codes: list[str], title: str = "T") -> str:
    return json.dumps([{"code": code, "title": title} for code in codes])


def courses(db: Connection) -> dict[str, bool]:
    """Codes of the official courses, and whether each is live."""
    rows = db.execute("select code, retired_at is null from public.catalog_courses where is_official").fetchall()
    return dict(rows)


def counts(**numbers: int) -> dict[str, int]:
    return dict.fromkeys(("inserted", "updated", "restored", "unchanged", "deleted", "retired"), 0) | numbers


def test_the_list_is_taken_over_and_a_second_time_changes_nothing(db: Connection, official: list[str]) -> None:
    assert courses(db) == dict.fromkeys(official, True)
    with act_as(db, None, "service_role"):
        assert one(db, SYNC, (listed(official),)) == counts(unchanged=10)
        assert one(db, SYNC, (listed(official, "New"),)) == counts(updated=10)
        assert one(db, SYNC, (listed([*official, "zzq11-02"], "New"),)) == counts(unchanged=10, inserted=1)


def test_a_course_that_left_the_list_retires_and_returns(db: Connection, official: list[str]) -> None:
    used = one(db, "select id from public.catalog_courses where code = 'ZZQ 0'")
    rows.lecture(db, catalog_course_id=used)
    assert one(db, SYNC, (listed(official[2:]),)) == counts(unchanged=8, retired=2)
    assert courses(db) == {"ZZQ 0": False, "ZZQ 1": False, **dict.fromkeys(official[2:], True)}
    assert one(db, SYNC, (listed([*official[2:], "ZZQ 0"]),)) == counts(unchanged=8, restored=1)
    assert courses(db)["ZZQ 0"] is True
    assert one(db, "select id from public.catalog_courses where code = 'ZZQ 0'") == used


@pytest.mark.parametrize("use", ["lecture", "document", "course", "class"])
def test_every_use_keeps_a_course(db: Connection, official: list[str], use: str) -> None:
    used = one(db, "select id from public.catalog_courses where code = 'ZZQ 0'")
    person = persona(db, "teacher")
    if use == "lecture":
        rows.lecture(db, catalog_course_id=used)
    elif use == "document":
        given = {"owner_id": person, "catalog_course_id": used, "filename": "a.pdf", "mime_type": "application/pdf"}
        stored = {"storage_key": "documents/a.pdf", "checksum": "0" * 64, "size_bytes": 1}
        rows.insert(db, "public.documents", given, stored)
    elif use == "course":
        rows.course(db, person, catalog_course_id=used)
    else:
        teacher = {"id": person, "lms_connection_id": rows.connection(db), "canvas_user_id": "7"}
        rows.insert(db, "public.teachers", teacher)
        rows.insert(db, "public.classes", {"teacher_id": person, "name": "A", "catalog_course_id": used})
    assert one(db, SYNC, (listed(official[1:]),)) == counts(unchanged=9, retired=1)
    freeze(db, A_YEAR_LATER)
    assert one(db, SYNC, (listed(official[1:]),)) == counts(unchanged=9)


def test_a_retired_course_goes_after_a_year_once_nothing_uses_it(db: Connection, official: list[str]) -> None:
    lecture = rows.lecture(db, catalog_course_id=one(db, "select id from public.catalog_courses where code = 'ZZQ 0'"))
    one(db, SYNC, (listed(official[1:]),))
    db.execute("delete from public.lectures where id = %s", (lecture,))
    assert one(db, SYNC, (listed(official[1:]),)) == counts(unchanged=9)
    freeze(db, A_YEAR_LATER)
    assert one(db, SYNC, (listed(official[1:]),)) == counts(unchanged=9, deleted=1)


def test_a_course_people_added_becomes_official_and_the_others_stay(db: Connection, official: list[str]) -> None:
    person = persona(db)
    with act_as(db, person):
        one(db, ENSURE, ("ZZX 1", "Mine"))
        one(db, ENSURE, ("ZZX 2", "Mine"))
    assert one(db, SYNC, (listed([*official, "ZZX 1"]),)) == counts(unchanged=10, updated=1)
    row = db.execute(
        "select title, is_official, created_by from public.catalog_courses where code = 'ZZX 1'"
    ).fetchone()
    assert row == ("T", True, person)
    assert one(db, "select is_official from public.catalog_courses where code = 'ZZX 2'") is False


def test_a_fifth_may_go_and_more_is_refused(db: Connection, official: list[str]) -> None:
    refused(db, "22023", SYNC, (listed(official[3:]),))
    assert courses(db) == dict.fromkeys(official, True)
    assert one(db, SYNC, (listed(official[2:]),)) == counts(unchanged=8, retired=2)
    refused(db, "22023", SYNC_AT_MOST, (listed(official[3:]), 0))
    assert one(db, SYNC_AT_MOST, (listed(["ZZY 1"]), 1)) == counts(inserted=1, retired=8)


def test_a_retired_course_does_not_count_as_missing(db: Connection, official: list[str]) -> None:
    for code in official[:2]:
        rows.lecture(db, catalog_course_id=one(db, "select id from public.catalog_courses where code = %s", (code,)))
    one(db, SYNC, (listed(official[2:]),))
    # of eight live ones, one is missing; the two retired ones were not expected
    assert one(db, SYNC, (listed(official[3:]),)) == counts(unchanged=7, retired=1)


def test_the_first_list_is_taken_whatever_it_lacks(db: Connection, official: list[str]) -> None:
    db.execute("delete from public.catalog_courses")
    assert one(db, SYNC_AT_MOST, (listed(["ZZQ 1"]), 0)) == counts(inserted=1)


def test_two_spellings_of_a_code_are_one_course_and_the_last_counts(db: Connection, official: list[str]) -> None:
    both = json.dumps([{"code": "zzw1-01", "title": "A"}, {"code": "ZZW 1", "title": "B", "instructor": "Who"}])
    assert one(db, SYNC_AT_MOST, (both, 1)) == counts(inserted=1, retired=10)
    row = db.execute("select title, instructor from public.catalog_courses where code = 'ZZW 1'").fetchone()
    assert row == ("B", "Who")


@pytest.mark.parametrize(
    ("given_courses", "sqlstate"),
    [
        (None, "22004"),
        ([], "22023"),
        ({}, "22023"),
        ("x", "22023"),
        (["ZZQ 1"], "22023"),
        ([{"code": "ZZQ 1"}], "22023"),
        ([{"title": "T"}], "22023"),
        ([{"code": "", "title": "T"}], "22023"),
        ([{"code": "ZZQ 1", "title": "  "}], "22023"),
        ([{"code": 1, "title": "T"}], "22023"),
        ([{"code": "ZZQ 1", "title": "T", "instructor": 5}], "22023"),
        ([{"code": "ZZQ 1", "title": "T"}, None], "22023"),
    ],
)
def test_a_list_that_makes_no_sense_changes_nothing(
    db: Connection, official: list[str], given_courses: Any, sqlstate: str
) -> None:
    refused(db, sqlstate, SYNC, (None if given_courses is None else json.dumps(given_courses),))
    assert courses(db) == dict.fromkeys(official, True)


@pytest.mark.parametrize(
    ("share", "sqlstate"), [(None, "22004"), ("-0.1", "22003"), ("1.1", "22003"), ("NaN", "22003")]
)
def test_a_share_is_between_nought_and_one(db: Connection, share: str | None, sqlstate: str) -> None:
    refused(db, sqlstate, SYNC_AT_MOST, (listed(["ZZQ 1"]), share))


def test_only_the_service_syncs(db: Connection) -> None:
    for role in ("anon", "authenticated", "app_admin"):
        with act_as(db, persona(db), role):
            refused(db, "42501", SYNC, (listed(["ZZQ 1"]),))


# ---- the guarded sync of the service ------------------------------------------------------------------------------

REPLACE = "select public.svc_replace_catalog(%s, %s, %s)"


@pytest.fixture
def departments(db: Connection, official: list[str]) -> list[str]:
    """Ten courses of one department, and four of another."""
    all_codes = [*official, *(f"ZZR {number}" for number in range(4))]
    one(db, SYNC, (listed(all_codes),))
    return all_codes


def without(codes: list[str], *gone: str) -> str:
    """The list that lacks some."""
    return listed([code for code in codes if code not in gone])


def test_the_guards_refuse_and_a_word_overrides_them(db: Connection, departments: list[str]) -> None:
    gone = ("ZZQ 0", "ZZQ 1", "ZZR 0")
    answer = one(db, REPLACE, (without(departments, *gone), False, False))
    assert answer == {"refused": True, "live": 14, "missing": 3, "departments": []}
    assert courses(db) == dict.fromkeys(departments, True)
    answer = one(db, REPLACE, (without(departments, *gone), True, False))
    assert answer == {"refused": False, **counts(unchanged=11, retired=3)}


def test_a_small_loss_passes(db: Connection, departments: list[str]) -> None:
    answer = one(db, REPLACE, (without(departments, "ZZR 0", "ZZR 1"), False, False))
    assert answer == {"refused": False, **counts(unchanged=12, retired=2)}
    # what is retired is neither expected nor counted in its department, which is now too small to guard
    answer = one(db, REPLACE, (without(departments, "ZZR 0", "ZZR 1", "ZZR 2", "ZZR 3"), False, False))
    assert answer == {"refused": False, **counts(unchanged=10, retired=2)}


def test_a_department_that_loses_more_than_half_is_named(db: Connection, departments: list[str]) -> None:
    more = [*departments, *(f"ZZS {number}" for number in range(10))]
    one(db, SYNC, (listed(more),))
    answer = one(db, REPLACE, (without(more, "ZZR 0", "ZZR 1", "ZZR 2"), False, False))
    lost = {"department": "ZZR", "live": 4, "missing": 3}
    assert answer == {"refused": True, "live": 24, "missing": 3, "departments": [lost]}


def test_a_dry_run_counts_and_takes_everything_back(db: Connection, departments: list[str]) -> None:
    given_list = json.dumps([*json.loads(without(departments, "ZZQ 0")), {"code": "ZZN 1", "title": "N"}])
    dry = one(db, REPLACE, (given_list, False, True))
    assert courses(db) == dict.fromkeys(departments, True)
    assert (
        dry
        == one(db, REPLACE, (given_list, False, False))
        == {
            "refused": False,
            **counts(inserted=1, unchanged=13, retired=1),
        }
    )


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        ((None, False, False), "22004"),
        (("[]", None, False), "22004"),
        (("[]", False, None), "22004"),
        (("[]", True, False), "22023"),
        (("{}", True, False), "22023"),
        (('"x"', True, False), "22023"),
        (("[1]", True, False), "22023"),
        (('[{"code": "", "title": "T"}]', True, True), "22023"),
    ],
)
def test_a_list_that_makes_no_sense_replaces_nothing(
    db: Connection, departments: list[str], arguments: tuple[object, ...], sqlstate: str
) -> None:
    refused(db, sqlstate, REPLACE, arguments)
    assert courses(db) == dict.fromkeys(departments, True)


def test_two_guarded_syncs_come_one_after_the_other(db_url: str, db: Connection, departments: list[str]) -> None:
    """The second waits for the lock before it looks, so that it judges what the first one left."""
    one(db, REPLACE, (listed(departments), False, False))
    with psycopg.connect(db_url) as other:
        other.execute("set lock_timeout = '100ms'")
        refused(other, "55P03", REPLACE, (listed(departments), False, False))


NORMALIZE = "select public.svc_normalize_course_codes(%s)"


def test_codes_are_normalised_in_their_order(db: Connection) -> None:
    given_codes = ["csc173-01", "", "MTH 1-2", "csc173-01"]
    assert one(db, NORMALIZE, (given_codes,)) == ["CSC 173", "", "MTH 1", "CSC 173"]
    assert one(db, NORMALIZE, ([],)) == []
    for nothing in (None, ["A 1", None]):
        refused(db, "22004", NORMALIZE, (nothing,))

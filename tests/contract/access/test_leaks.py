"""Nothing a client can put into a request shows hidden rows: headers, columns, embedding, counts, ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from scripts.native import access
from tests.contract.access.conftest import MATRIX, RestSchool

# People who have nothing to do with the other student.
STRANGERS = ("anon", "guest", "student", "tutor_one", "parent_revoked", "teacher")
# Answers and settings that these people must never read, wherever they are asked for.
SECRETS = {
    "It cancels out of the equation of motion.": ("anon", "guest", "student", "tutor_one", "parent_revoked", "teacher"),
    "Squeeze it between cos(x) and 1.": ("anon", "guest", "student", "parent_revoked", "teacher"),
    "Ask, never tell.": STRANGERS,
    "How do I make the error estimate clear?": ("anon", "guest", "student", "tutor_one", "parent_revoked"),
}
# a row that both students may see is no leak
PRIVATE_ROWS = [
    (relation.name, row)
    for relation in MATRIX.relations.values()
    for row in relation.rows.values()
    if row.owners == ("other_student",)
]


@pytest.fixture(autouse=True)
def _nothing_stays(rest_school: RestSchool) -> Iterator[None]:
    """Each test leaves the tables as it found them."""
    yield
    assert rest_school.changed() == []


def foreign_ids(school: RestSchool) -> set[str]:
    """The other student's id and the ids of the other student's rows."""
    ids = {school.people["other_student"]}
    for _, row in PRIVATE_ROWS:
        ids |= {access.seed_id(value[1:]) for value in row.key.values() if re.fullmatch(r"#\d{6}", value)}
    # the subject is everybody's
    return ids - {access.seed_id("800101")}


def leaks(school: RestSchool, person: str, response: httpx.Response) -> list[str]:
    """What an answer shows that this person must not see; Content-Location only repeats the request."""
    headers = (f"{name}: {value}" for name, value in response.headers.items() if name != "content-location")
    text = " ".join([response.text, *headers])
    return [canary for canary in foreign_ids(school) if canary in text] + [
        secret for secret, barred in SECRETS.items() if person in barred and secret in text
    ]


def foreign_keys(school: RestSchool) -> list[tuple[str, str, str]]:
    """Every foreign key between exposed tables: child, name, parent."""
    return school.owner.execute(
        "select c.relname, conname, p.relname from pg_constraint join pg_class as c on c.oid = conrelid "
        "join pg_class as p on p.oid = confrelid "
        "where contype = 'f' and c.relnamespace = 'public'::regnamespace and p.relnamespace = 'public'::regnamespace"
    ).fetchall()


@pytest.mark.parametrize("person", STRANGERS)
def test_plain_reads_with_every_header(rest_school: RestSchool, person: str) -> None:
    def ask(cell: tuple[str, dict[str, str]]) -> None:
        name, headers = cell
        response = rest_school.request(person, "GET", name, params={"select": "*"}, headers=headers)
        assert leaks(rest_school, person, response) == [], f"{name} {headers}"
        if headers.get("Accept", "").startswith("application/vnd.pgrst.plan"):
            assert response.status_code in (406, 415)

    variants: list[dict[str, str]] = [
        {"Prefer": "count=exact, tx=commit, timezone=Pacific/Kiritimati, missing=default, return=representation"},
        {"Accept": "text/csv", "Range": "0-1000", "Range-Unit": "items"},
        {"Accept": "application/vnd.pgrst.object+json"},
        {"Accept": "application/vnd.pgrst.plan+json; options=analyze"},
    ]
    rest_school.all_at_once(ask, [(name, headers) for name in MATRIX.relations for headers in variants])


@pytest.mark.parametrize("person", ["guest", "student", "tutor_one"])
def test_counts_are_of_what_is_seen(rest_school: RestSchool, person: str) -> None:
    for name in MATRIX.relations:
        seen = rest_school.request(person, "GET", name)
        response = rest_school.request(person, "HEAD", name, headers={"Prefer": "count=exact"})
        if seen.is_success:
            assert response.headers["Content-Range"].rpartition("/")[2] == str(len(seen.json())), name
        else:
            assert response.status_code == seen.status_code
        aggregate = rest_school.request(person, "GET", name, params={"select": "total:count()"})
        assert aggregate.status_code in (400, 401, 403), f"aggregates of {name} are answered"


@pytest.mark.parametrize("person", ["guest", "student"])
def test_asking_for_a_hidden_row_finds_nothing(rest_school: RestSchool, person: str) -> None:
    """By key, by range, by pattern, by negation, in any order: as if it were not there."""
    for name, row in PRIVATE_ROWS:
        column, value = next(iter(row.key.items()))
        wanted = str(access.resolve(value, rest_school.people))
        everything = {"order": f"{column}.desc.nullsfirst", "limit": "1000"}
        for query in (
            rest_school.filters(row),
            {"or": f"({column}.eq.{wanted},{column}.is.null)"},
            {"and": f"({column}.gte.{wanted},{column}.lte.{wanted})"},
            {column: f"neq.{access.seed_id('999999')}", **everything},
        ):
            response = rest_school.request(person, "GET", name, params=query, headers={"Prefer": "count=exact"})
            assert leaks(rest_school, person, response) == [], f"{name}?{query}"


@pytest.mark.parametrize("person", ["student", "tutor_one"])
def test_embedding_follows_the_policies_of_both_sides(rest_school: RestSchool, person: str) -> None:
    def ask(way: tuple[str, str]) -> None:
        table, select = way
        response = rest_school.request(person, "GET", table, params={"select": select})
        # 403: the person has no right to that table; 400: PostgREST finds no relation between the two
        assert response.status_code in (200, 400, 403), response.text
        assert leaks(rest_school, person, response) == [], f"{table}?select={select}"

    ways = [(child, f"*,{parent}!{constraint}(*)") for child, constraint, parent in foreign_keys(rest_school)]
    ways += [(parent, f"*,{child}!{constraint}(*)") for child, constraint, parent in foreign_keys(rest_school)]
    rest_school.all_at_once(ask, ways)


def test_embedding_two_steps_away(rest_school: RestSchool) -> None:
    """From a visible row, through a person whom both know, to a hidden row."""
    for person, path, select in (
        ("student", "subjects", "*,goals(*,profiles!goals_student_id_fkey(*,user_settings(*),user_stats(*)))"),
        ("student", "subjects", "*,practice_bank_items(*,practice_bank_answers(*),practice_assignments(*))"),
        (
            "student",
            "practice_assignments",
            "*,practice_assignment_answers(*),practice_bank_items(*,practice_bank_answers(*))",
        ),
        ("student", "plans", "*,subscriptions(*,invoices(*),profiles(*))"),
        ("student", "lms_connections", "*,integrations(*,courses(*,assignments(*))),teachers(*)"),
        ("student", "agents", "*,agent_configs(*),agent_assignments(*,jobs(*))"),
        ("student", "catalog_courses", "*,lectures(*,user_lectures(*)),documents(*),classes(*)"),
        (
            "tutor_one",
            "profiles",
            "*,qa_interactions!qa_interactions_student_id_fkey(*),user_stats(*),user_settings(*)",
        ),
        (
            "parent_revoked",
            "guardianships",
            "*,profiles!guardianships_student_id_fkey(*,goals!goals_student_id_fkey(*))",
        ),
        ("teacher", "lms_connections", "*,teachers(*,threads(*,messages(*))),integrations(*)"),
        ("anon", "plans", "*,subscriptions(*)"),
    ):
        response = rest_school.request(person, "GET", path, params={"select": select})
        assert leaks(rest_school, person, response) == [], f"{path}?select={select}"
        if person == "anon" or "agent_configs" in select:
            assert response.json()["code"] == "42501"
        else:
            assert response.status_code == 200, response.text


def test_upserts_do_not_touch_foreign_rows(rest_school: RestSchool) -> None:
    """on_conflict on a hidden row: refused or silent, and the row is as it was."""
    victim = access.seed_id("700111")
    body = {"id": victim, "week_number": 40, "start_date": "2030-01-07", "end_date": "2030-01-13"}
    for person in ("student", "tutor_all", "admin"):
        for query, prefer in (
            ({"on_conflict": "id"}, "resolution=merge-duplicates, return=representation"),
            ({"on_conflict": "id"}, "resolution=merge-duplicates, missing=default, return=representation"),
            ({"on_conflict": "id"}, "resolution=ignore-duplicates, return=representation"),
            ({}, "return=representation"),
        ):
            response = rest_school.request(person, "POST", "weeks", params=query, json=body, headers={"Prefer": prefer})
            if "ignore" in prefer:
                assert (response.status_code, response.json()) in ((200, []), (201, []))
            else:
                assert response.status_code in (403, 409), response.text
                assert rest_school.people["other_student"] not in response.text
        put = rest_school.request(person, "PUT", "weeks", params={"id": f"eq.{victim}"}, json=body)
        assert put.status_code in (400, 403, 409), put.text
        assert rest_school.people["other_student"] not in put.text


def test_columns_parameter_grants_nothing(rest_school: RestSchool) -> None:
    """columns= picks what is read from the body; the column rights decide what may be written."""
    goal = {"student_id": rest_school.people["student"], "title": "Rich", "xp_earned": 9000, "status": "completed"}
    for columns in (
        "student_id,title,xp_earned",
        "student_id,title,status",
        "student_id,title,created_at",
        "title,current_streak",
    ):
        response = rest_school.request("student", "POST", "goals", params={"columns": columns}, json=goal)
        assert (response.status_code, response.json()["code"]) == (403, "42501"), columns
    profile = rest_school.request(
        "student",
        "PATCH",
        "profiles",
        params={"user_id": f"eq.{rest_school.people['student']}", "columns": "role"},
        json={"role": "admin", "display_name": "Student"},
    )
    assert (profile.status_code, profile.json()["code"]) == (403, "42501")


def test_a_write_without_a_filter_is_refused_and_one_of_all_rows_changes_own_rows_only(rest_school: RestSchool) -> None:
    prefer = {"Prefer": "return=representation, count=exact, tx=commit"}
    for method in ("PATCH", "DELETE"):
        for nothing_left_out in ({}, {"select": "id", "order": "id", "limit": "1"}):
            refused = rest_school.request(
                "student", method, "study_blocks", params=nothing_left_out, json={"notes": "Mine"}
            )
            assert (refused.status_code, refused.json()["code"]) == (400, "21000")
    every = {"id": "not.is.null"}
    response = rest_school.request(
        "student", "PATCH", "study_blocks", params=every, json={"notes": "Mine"}, headers=prefer
    )
    try:
        assert response.status_code == 200
        assert {row["user_id"] for row in response.json()} == {rest_school.people["student"]}
        assert leaks(rest_school, "student", response) == []
        other = rest_school.request("other_student", "GET", "study_blocks", params={"select": "notes"}).json()
        assert {"notes": "Mine"} not in other
        deleted = rest_school.request("student", "DELETE", "study_blocks", params=every, headers=prefer)
        assert {row["user_id"] for row in deleted.json()} == {rest_school.people["student"]}
        assert rest_school.request("other_student", "GET", "study_blocks").json() == [
            row | {"updated_at": row["updated_at"]}
            for row in rest_school.request("service", "GET", "study_blocks", params={"notes": "is.null"}).json()
            if row["user_id"] == rest_school.people["other_student"]
        ]
    finally:
        rest_school.restore()


def test_the_time_zone_of_a_request_does_not_move_the_day(rest_school: RestSchool) -> None:
    """Rights that begin or end on a day do so in UTC, whatever the request says its zone is."""
    for table in ("goals", "tutoring_sessions", "profiles"):
        for person in ("tutor_all", "tutor_one", "parent"):
            seen = [
                sorted(
                    str(sorted(row.items()))
                    for row in rest_school.request(
                        person,
                        "GET",
                        table,
                        params={"select": "user_id" if table == "profiles" else "id"},
                        headers={"Prefer": f"timezone={zone}"},
                    ).json()
                )
                for zone in ("Pacific/Kiritimati", "UTC", "Pacific/Pago_Pago")
            ]
            assert seen[0] == seen[1] == seen[2], (person, table)


def test_the_api_description_shows_what_the_caller_may_use(rest_school: RestSchool) -> None:
    """The OpenAPI root follows the caller's rights, and names nothing private."""
    described = {
        person: set(rest_school.request(person, "GET", "").json()["paths"]) - {"/"}
        for person in ("anon", "guest", "student", "admin", "service")
    }
    assert described["anon"] == {"/plans"}
    assert described["student"] == described["guest"]
    assert {"/payment_events", "/agent_configs"} & described["student"] == set()
    for person in ("student", "admin"):
        for call in MATRIX.calls.values():
            assert (f"/rpc/{call.name}" in described[person]) == (call.cells[person] == "1"), (person, call.name)
    text = rest_school.request("service", "GET", "").text
    for name in MATRIX.private:
        assert f'"/{name}"' not in text


def test_errors_name_no_foreign_person(rest_school: RestSchool) -> None:
    """A key that is taken by a hidden row is refused without saying whose it is."""
    for table, body in (
        ("study_blocks", {"start_at": "2030-01-01T10:00:00Z", "end_at": "2030-01-01T09:00:00Z"}),
        (
            "study_blocks",
            {
                "assignment_id": access.seed_id("200411"),
                "start_at": "2030-01-01T10:00:00Z",
                "end_at": "2030-01-01T11:00:00Z",
            },
        ),
        ("student_subjects", {"student_id": rest_school.people["student"], "subject_id": access.seed_id("800101")}),
    ):
        response = rest_school.request("student", "POST", table, json=body)
        assert response.status_code in (400, 409), response.text
        assert rest_school.people["other_student"] not in response.text


@pytest.mark.parametrize("person", ["student", "tutor_one", "parent", "teacher", "former_admin"])
def test_nobody_learns_what_role_somebody_has(rest_school: RestSchool, person: str) -> None:
    """A write about somebody is answered by rights alone, whoever that somebody is; so it is for nobody's id."""
    nobody = access.seed_id("999999")
    others = [one for one in rest_school.people if one not in (person, "guest")]
    # their own students are no strangers to a tutor
    strangers = [rest_school.people[one] for one in others if (person, one) != ("tutor_one", "student")]
    for table, column, body in (
        ("tutoring_sessions", "student_id", {"session_date": "2026-01-05T15:00:00Z"}),
        ("goals", "student_id", {"title": "A goal"}),
        ("practice_assignments", "student_id", {"bank_item_id": access.seed_id("800801")}),
        ("tutor_student_assignments", "student_id", {"tutor_id": rest_school.people["tutor_all"]}),
        ("guardianships", "parent_id", {"student_id": rest_school.people["other_student"]}),
    ):
        answers = set()
        for stranger in [*strangers, nobody]:
            response = rest_school.request(person, "POST", table, json={**body, column: stranger})
            answers.add((response.status_code, response.text.replace(stranger, "<id>")))
        assert len(answers) == 1, f"{person}: {table}: {answers}"

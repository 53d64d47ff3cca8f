"""The seeded school as a test bed: its people, and the outcome of one cell of the access matrix in SQL."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from scripts.native import access
from scripts.native.paths import REPO
from tests.support.people import become, become_owner, persona

Connection = psycopg.Connection[Any]

SEED = REPO / "supabase" / "seed.sql"
STATES = {
    "23514": "c",
    "23503": "f",
    "23001": "f",  # what PostgreSQL 18 calls a RESTRICT
    "23502": "n",
    "23505": "u",
}


def outcome_of_error(sqlstate: str | None, message: str) -> str:
    """The cell an error stands for; an SQLSTATE that the matrix has no letter for stands for itself."""
    if sqlstate == "42501":
        return "-" if message.startswith("permission denied") else "!"
    return STATES.get(sqlstate or "", sqlstate or "error")


def load_seed(db: Connection) -> None:
    """Loads supabase/seed.sql as the owner of the schema."""
    db.execute(SEED.read_bytes())


# What does not go with the people, children first.
PEOPLELESS = (
    "public.payment_events",
    "public.plans",
    "public.jobs",
    "public.lectures",
    "public.catalog_courses",
    "public.practice_bank_items",
    "public.subjects",
    "private.lti_platforms",
    "public.lms_connections",
)


def clear(db: Connection) -> None:
    """Takes away what other tests have left in a database they share, so that the seed finds its names free."""
    db.execute("delete from auth.users")
    for table in PEOPLELESS:
        db.execute(f"delete from {table}".encode())
    # the agents of every installation stay, because nobody works without them
    db.execute("delete from public.agents where id::text not like 'a6e47000-%'")


# Rows of an anonymous sign-in, which only the service can make: even these they must not see.
GUEST_ROWS = """
    insert into public.study_blocks (id, user_id, start_at, end_at)
    values (%(block)s, %(guest)s, now(), now() + interval '1 hour');
    insert into public.weeks (id, user_id, week_number, start_date, end_date)
    values (%(week)s, %(guest)s, 1, '2026-01-05', '2026-01-11');
    insert into public.goals (id, student_id, created_by, subject_id, title)
    values (%(goal)s, %(guest)s, %(guest)s, %(maths)s, 'A goal');
    insert into public.tutoring_sessions (id, student_id, session_date, subject_id)
    values (%(session)s, %(guest)s, now(), %(maths)s);
    insert into public.summaries (id, session_id, student_id, narrative, summary_type)
    values (%(summary)s, %(session)s, %(guest)s, 'A summary', 'brief');
    insert into public.practice_assignments (id, student_id, bank_item_id)
    values (%(practice)s, %(guest)s, %(item)s);
    insert into public.student_ratings (id, student_id, subject_id) values (%(rating)s, %(guest)s, %(maths)s);
    insert into public.qa_interactions (id, student_id, query, answer, confidence)
    values (%(question)s, %(guest)s, 'Why?', 'Because.', 'Low');
"""
GUEST_IDS = {
    "block": "400191",
    "week": "700191",
    "goal": "800591",
    "session": "800691",
    "summary": "800791",
    "practice": "801091",
    "rating": "801291",
    "question": "801391",
    "maths": "800101",
    "item": "800801",
}


def give_rows_to_guest(db: Connection, guest: str) -> None:
    """Makes rows that belong to an anonymous sign-in, as the service could."""
    ids = {name: access.seed_id(number) for name, number in GUEST_IDS.items()}
    for statement in filter(str.strip, GUEST_ROWS.split(";")):
        db.execute(statement.encode(), {**ids, "guest": guest})


FORMER_ROLES = {
    "former_admin": "admin",
    "deleted_admin": "admin",
    "former_tutor": "tutor",
    "former_parent": "parent",
}
# Ties and rows of people who have lost their role: the rows stay, and must give these people no rights.
FORMER_ROWS = """
    insert into public.tutor_student_assignments (tutor_id, student_id) values (%(former_tutor)s, %(student)s);
    insert into public.guardianships (id, parent_id, student_id) values (%(care)s, %(former_parent)s, %(student)s);
    update public.guardianships set status = 'active', consent_basis = 'student_consent' where id = %(care)s;
    insert into public.tutoring_sessions (id, student_id, tutor_id, session_date, subject_id)
    values (%(session)s, %(student)s, %(former_tutor)s, now(), %(maths)s);
    insert into public.goals (id, student_id, created_by, subject_id, title)
    values (%(goal)s, %(student)s, %(former_tutor)s, %(maths)s, 'A goal');
    insert into public.practice_bank_items (id, question_text, subject_id, difficulty_level, created_by)
    values (%(item)s, 'What is left?', %(maths)s, 1, %(former_tutor)s);
    insert into public.practice_bank_answers (item_id, answer_text) values (%(item)s, 'Nothing.');
    insert into public.qa_interactions (id, student_id, query, answer, confidence, escalated_to_tutor_id)
    values (%(question)s, %(student)s, 'Why?', 'Because.', 'Low', %(former_tutor)s);
    insert into public.overrides
        (id, tutor_id, student_id, override_type, action, original_content, new_content, qa_interaction_id)
    values (%(override)s, %(former_tutor)s, %(student)s, 'qa_answer', 'edit', '{}', '{}', %(question)s);
    select public.refresh_user_stats(%(student)s)
"""
FORMER_IDS = {
    "care": "100391",
    "goal": "800592",
    "session": "800692",
    "item": "800892",
    "question": "801392",
    "override": "801492",
    "maths": "800101",
}


def give_rows_to_former(db: Connection, people: Mapping[str, str]) -> None:
    """Ties the people who will lose their role to the student, while they have it."""
    ids = {name: access.seed_id(number) for name, number in FORMER_IDS.items()}
    for statement in filter(str.strip, FORMER_ROWS.split(";")):
        db.execute(statement.encode(), {**people, **ids})


def take_roles_away(db: Connection, people: Mapping[str, str]) -> None:
    """Demotes or deletes them. Their ties stay active: the role alone must be enough to end every right."""
    db.execute("alter table public.profiles disable trigger trg_profiles_role")
    demoted = [people[name] for name in FORMER_ROLES if name != "deleted_admin"]
    db.execute("update public.profiles set role = 'student' where user_id = any (%s::uuid[])", (demoted,))
    db.execute("alter table public.profiles enable trigger trg_profiles_role")
    db.execute("delete from auth.users where id = %s", (people["deleted_admin"],))


class School:
    """The people of the seed, inside one transaction of ``postgres``, and what each of them can do."""

    def __init__(self, db: Connection) -> None:
        self.db = db
        clear(db)
        load_seed(db)
        former = {name: str(persona(db, role)) for name, role in FORMER_ROLES.items()}
        self.people = {**access.PEOPLE_IDS, "guest": str(persona(db, anonymous=True)), **former}
        give_rows_to_guest(db, self.people["guest"])
        give_rows_to_former(db, self.people)
        self.claims = {name: self._claims(person) for name, person in self.people.items()}
        take_roles_away(db, self.people)

    def _claims(self, person: str) -> dict[str, Any]:
        """The claims our own token hook gives this person."""
        anonymous = person == self.people["guest"]
        claims = {"role": "authenticated", "is_anonymous": anonymous, "app_metadata": {}}
        event = {"user_id": person, "claims": claims, "authentication_method": "password"}
        hooked = self.db.execute("select private.custom_access_token(%s)", (Jsonb(event),)).fetchone()
        assert hooked is not None
        return dict(hooked[0]["claims"])

    @contextmanager
    def acting(self, name: str, role: str | None = None) -> Iterator[None]:
        """Inside the block the transaction is this person's; whatever happened is undone.

        :param role: the database role, when it is not the one that the token hook gives them
        """
        with self.db.transaction(force_rollback=True):
            if name in self.people:
                claims = {key: value for key, value in self.claims[name].items() if key != "role"}
                become(self.db, uuid.UUID(self.people[name]), role or self.claims[name]["role"], **claims)
            else:
                become(self.db, None, {"anon": "anon", "service": "service_role"}[name])
            yield
            become_owner(self.db)

    def values(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """What a ``send`` of the matrix means here."""
        return {column: access.resolve(value, self.people) for column, value in sent.items()}

    def attempt(self, statement: sql.Composed, parameters: Sequence[Any] = ()) -> str:
        """Runs one statement as whoever the transaction is, undoes it, and tells its outcome as a cell."""
        try:
            with self.db.transaction(force_rollback=True):
                count = self.db.execute(statement, parameters).rowcount
        except psycopg.Error as error:
            return outcome_of_error(error.sqlstate, error.diag.message_primary or "")
        return "1" if count > 0 else "0"

    def cell(self, relation: access.Relation, line: access.Line, *, answer: bool = True) -> str:
        """Tries one line of the matrix as whoever the transaction is.

        Writes return their key, as the clients' libraries ask by default, so the select policy has its say too; an
        insert without ``answer`` is judged by its own policy alone.
        """
        table = sql.Identifier("public", relation.name)
        key = line.row.key if line.row else next(iter(relation.rows.values())).key
        returning = sql.SQL(", ").join(map(sql.Identifier, key))
        where = sql.SQL(" and ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in key)
        keys = [access.resolve(value, self.people) for value in key.values()]
        if line.command == "select":
            return self.attempt(sql.SQL("select {} from {} where {}").format(returning, table, where), keys)
        if line.command == "delete":
            return self.attempt(sql.SQL("delete from {} where {} returning {}").format(table, where, returning), keys)
        assert line.send is not None
        values = self.values(relation.sends[line.send])
        columns = sql.SQL(", ").join(map(sql.Identifier, values))
        sent = json.dumps(values)
        if line.command == "insert":
            statement = "insert into {} ({}) select {} from jsonb_populate_record(null::{}, %s::jsonb)"
            insert = sql.SQL(statement).format(table, columns, columns, table)
            return self.attempt(insert + sql.SQL(" returning {}").format(returning) if answer else insert, [sent])
        statement = (
            "update {} set ({}) = (select {} from jsonb_populate_record(null::{}, %s::jsonb)) where {} returning {}"
            if len(values) > 1
            else "update {} set {} = (select {} from jsonb_populate_record(null::{}, %s::jsonb)) where {} returning {}"
        )
        return self.attempt(sql.SQL(statement).format(table, columns, columns, table, where, returning), [sent, *keys])

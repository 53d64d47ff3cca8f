"""A stack of its own with the seeded school in it, its people signed in through Auth, and a way back to the start.

Over REST a write is committed. So every table is copied aside once, an accepted write is undone from the copies, and
after all refused ones the tables must still read as at the start.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import psycopg
import pytest

from scripts.native import access, paths
from scripts.native.programs import cli_environment, supabase_cli
from scripts.native.stack import Options, Stack
from tests.support.school import FORMER_ROLES, give_rows_to_former, give_rows_to_guest, take_roles_away

PASSWORD = "headstart-dev"
Item = TypeVar("Item")
Result = TypeVar("Result")
MATRIX = access.read()
TRIED = {"cells": 0, "columns": 0, "requests": 0}

KEEP = """
    create schema kept;
    do $$
    declare v record;
    begin
        for v in select nspname, relname from pg_class join pg_namespace as n on n.oid = relnamespace
            where nspname in ('public', 'private') and relkind = 'r'
        loop
            execute format('create table kept.%I as table %I.%I', v.nspname || '.' || v.relname, v.nspname, v.relname);
        end loop;
    end $$;
    create function kept.changed() returns setof text language plpgsql as $$
    declare v record; v_same boolean;
    begin
        for v in select nspname, relname from pg_class join pg_namespace as n on n.oid = relnamespace
            where nspname in ('public', 'private') and relkind = 'r'
        loop
            execute format(
                'select (select md5(string_agg(t::text, e''\\n'' order by t::text)) from %1$I.%2$I as t)
                 is not distinct from (select md5(string_agg(t::text, e''\\n'' order by t::text)) from kept.%3$I as t)',
                v.nspname, v.relname, v.nspname || '.' || v.relname
            ) into v_same;
            if not v_same then
                return next v.nspname || '.' || v.relname;
            end if;
        end loop;
    end $$;
    create function kept.restore() returns void language plpgsql as $$
    declare v record;
    begin
        for v in
            select nspname, relname, string_agg(quote_ident(attname), ', ') as columns
            from pg_class join pg_namespace as n on n.oid = relnamespace
            join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped and attgenerated = ''
            where nspname || '.' || relname in (select kept.changed()) group by 1, 2
        loop
            execute format('delete from %I.%I', v.nspname, v.relname);
            execute format(
                'insert into %1$I.%2$I (%3$s) overriding system value select %3$s from kept.%4$I',
                v.nspname, v.relname, v.columns, v.nspname || '.' || v.relname
            );
        end loop;
    end $$;
"""


class RestSchool:
    """The seeded school behind the gateway."""

    def __init__(self, stack: Stack, http: httpx.Client, owner: psycopg.Connection[Any]) -> None:
        self.stack, self.http, self.owner = stack, http, owner
        self.people = dict(access.PEOPLE_IDS)
        self.sent: list[str] = []
        self.headers: dict[str, dict[str, str]] = {
            "anon": {"apikey": stack.keys.publishable_key},
            "service": {"apikey": stack.keys.secret_key},
        }
        for name in self.people:
            self._sign_in(name)
        self._sign_up_guest()
        for name in FORMER_ROLES:
            self._sign_up(name)

    def give_rows(self, db: psycopg.Connection[Any]) -> None:
        """What the seed cannot have: rows of the guest, and people who lose the role that their token names."""
        give_rows_to_guest(db, self.people["guest"])
        for name, role in FORMER_ROLES.items():
            db.execute("update public.profiles set role = %s where user_id = %s", (role, self.people[name]))
        give_rows_to_former(db, self.people)
        db.commit()
        for name in FORMER_ROLES:
            self._sign_in(name)
        take_roles_away(db, self.people)

    def _address(self, name: str) -> str:
        return f"{name.replace('_', '-')}@headstart.test"

    def _sign_up(self, name: str) -> None:
        answer = self.http.post(
            "/auth/v1/signup",
            json={"email": self._address(name), "password": PASSWORD},
            headers={"apikey": self.stack.keys.publishable_key},
        )
        assert answer.status_code == 200, answer.text
        self.people[name] = answer.json()["user"]["id"]

    def _sign_in(self, name: str) -> None:
        address = self._address(name)
        answer = self.http.post(
            "/auth/v1/token?grant_type=password",
            json={"email": address, "password": PASSWORD},
            headers={"apikey": self.stack.keys.publishable_key},
        )
        assert answer.status_code == 200, f"{address} cannot sign in: {answer.text}"
        assert answer.json()["user"]["id"] == self.people[name]
        self._remember(name, answer.json()["access_token"])

    def _sign_up_guest(self) -> None:
        answer = self.http.post("/auth/v1/signup", json={}, headers={"apikey": self.stack.keys.publishable_key})
        assert answer.status_code == 200, answer.text
        assert answer.json()["user"]["is_anonymous"] is True
        self.people["guest"] = answer.json()["user"]["id"]
        self._remember("guest", answer.json()["access_token"])

    def _remember(self, name: str, token: str) -> None:
        self.headers[name] = {"apikey": self.stack.keys.publishable_key, "Authorization": f"Bearer {token}"}

    def request(self, person: str, method: str, path: str, **options: Any) -> httpx.Response:
        """One request to REST as this person."""
        self.sent.append(path)
        headers = {**self.headers[person], **options.pop("headers", {})}
        return self.http.request(method, f"/rest/v1/{path}", headers=headers, **options)

    def filters(self, row: access.Row) -> dict[str, str]:
        """A row's key as PostgREST filters."""
        return {column: f"eq.{access.resolve(value, self.people)}" for column, value in row.key.items()}

    def values(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """What a ``send`` of the matrix means here."""
        return {column: access.resolve(value, self.people) for column, value in sent.items()}

    def all_at_once(self, ask: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Asks about each item, a few at a time: for what changes nothing, so that order does not matter."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            return list(pool.map(ask, items))

    def changed(self) -> list[str]:
        """Tables that do not read as at the start."""
        return [name for (name,) in self.owner.execute("select kept.changed()")]

    def restore(self) -> None:
        """Everything as at the start, triggers asleep."""
        self.owner.execute("select kept.restore()")


@pytest.fixture(scope="package")
def rest_school() -> Iterator[RestSchool]:
    """The school, seeded by the real CLI, everybody signed in."""
    with Stack(Options(without=frozenset({"functions", "worker", "model"}), quiet=True)) as stack:
        push = [*supabase_cli(), "db", "push", f"--remote={stack.db_url}", "--include-seed", "--yes"]
        done = subprocess.run(
            [*push, "--workdir", str(paths.REPO)],
            env=cli_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        # the superuser: only it may put triggers to sleep while rows are put back
        with (
            psycopg.connect(stack.server.url("supabase_admin"), autocommit=True) as owner,
            httpx.Client(base_url=stack.url, timeout=30) as http,
        ):
            school = RestSchool(stack, http, owner)
            with psycopg.connect(stack.db_url) as db:
                school.give_rows(db)
            owner.execute(KEEP.encode())
            owner.execute("set session_replication_role = replica")
            yield school
            TRIED["requests"] = len(school.sent)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much of the matrix was tried."""
    if TRIED["requests"]:
        terminalreporter.write_line(
            f"access matrix over REST: {TRIED['cells']} cells and {TRIED['columns']} column rights tried, "
            f"{TRIED['requests']} requests"
        )

"""supabase/seed.sql: something in every table, and a second load that changes nothing."""

from __future__ import annotations

from tests.support.school import School, load_seed

TABLES = "select oid::regclass::text from pg_class where relnamespace = %s::regnamespace and relkind = 'r' order by 1"


def contents(school: School, schema: str) -> dict[str, str]:
    """Each table's rows as one checksum."""
    return {
        table: school.db.execute(
            f"select md5(coalesce(string_agg(t::text, e'\\n' order by t::text), '')) from {table} as t".encode()
        ).fetchone()[0]  # type: ignore[index]
        for (table,) in school.db.execute(TABLES, (schema,))
    }


def test_every_table_of_the_api_has_rows_of_several_people(school: School) -> None:
    for (table,) in school.db.execute(TABLES, ("public",)).fetchall():
        count = school.db.execute(f"select count(*) from {table}".encode()).fetchone()
        assert count is not None
        assert count[0] >= 1, f"the seed leaves {table} empty"


def test_loading_twice_changes_nothing(school: School) -> None:
    before = contents(school, "public") | contents(school, "private") | contents(school, "auth")
    with school.db.transaction(force_rollback=True):
        load_seed(school.db)
        after = contents(school, "public") | contents(school, "private") | contents(school, "auth")
    assert {table for table in before if before[table] != after[table]} == set()


def test_accounts_are_as_auth_reads_them(school: School) -> None:
    """Auth cannot read a null where it stores a token, and finds a person by their identity."""
    broken = school.db.execute(
        "select email from auth.users where email like '%@headstart.test' and (confirmation_token is null "
        "or recovery_token is null or email_change is null or email_change_token_new is null "
        "or email_change_token_current is null or phone_change is null or phone_change_token is null "
        "or reauthentication_token is null or encrypted_password !~ '^\\$2[ab]\\$10\\$' or email_confirmed_at is null "
        "or not exists (select from auth.identities as i where i.user_id = users.id and i.provider = 'email'))"
    ).fetchall()
    assert broken == []

"""The privilege manifest: every right anybody but the owner holds in our schemas, as one readable text.

policies/privileges.txt is what was reviewed; a test compares it with the database, to the letter.
    SUPABASE_DB_URL=... python -m scripts.native.privileges > policies/privileges.txt
writes it anew after a change of policies/, for the reviewer to read the difference.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from typing import Any

import psycopg

from scripts.native.paths import REPO

MANIFEST = REPO / "policies" / "privileges.txt"
HEAD = """\
# Every right that somebody other than the owner (postgres) holds on our schemas, relations, columns, sequences and
# functions, and on what postgres will create later. `PUBLIC` means every role. An object with no line below its name is
# the owner's alone. A right with columns in brackets is held on those columns only. Compared with the database by
# tests/database/guards. Types are left out: Postgres lets everybody use them. So is MAINTAIN (PostgreSQL 17 and later).
"""

# kind, name, grantee, privilege, column; an object nobody else has a right on comes once, with null grantee
RIGHTS = """
with spaces as (
    select oid, nspname, nspowner, nspacl from pg_namespace where nspname in ('public', 'private', 'hooks')
),
objects as (
    select 'schema' as kind, nspname::text as name, nspowner as owner, null::name as column,
           coalesce(nspacl, acldefault('n', nspowner)) as acl
    from spaces
    union all
    select case relkind when 'S' then 'sequence' when 'v' then 'view' else 'table' end,
           nspname || '.' || relname, relowner, null,
           coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))
    from pg_class join spaces on spaces.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all
    select 'table', nspname || '.' || relname, relowner, attname, attacl
    from pg_attribute
    join pg_class on pg_class.oid = attrelid
    join spaces on spaces.oid = relnamespace
    where attnum > 0 and not attisdropped and attacl is not null
    union all
    select 'function', nspname || '.' || proname || '(' || pg_get_function_identity_arguments(pg_proc.oid) || ')',
           proowner, null, coalesce(proacl, acldefault('f', proowner))
    from pg_proc join spaces on spaces.oid = pronamespace
    union all
    select 'default', 'of postgres' || coalesce(' in schema ' || nspname, '') || ' for new '
           || case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
              when 'T' then 'types' else 'schemas' end,
           defaclrole, null, defaclacl
    from pg_default_acl
    left join pg_namespace on pg_namespace.oid = defaclnamespace
    where defaclrole = 'postgres'::regrole and coalesce(nspname, 'public') in ('public', 'private')
)
select kind, name, grantee, privilege, "column" from (
    select kind, name, "column",
           case when acl.grantee = 0 then 'PUBLIC' else acl.grantee::regrole::text end as grantee,
           lower(acl.privilege_type) || case when acl.is_grantable then '*' else '' end as privilege
    from objects, aclexplode(objects.acl) as acl
    where acl.grantee <> objects.owner and acl.privilege_type <> 'MAINTAIN'
    union all
    select distinct kind, name, null::name, null::text, null::text from objects
) as rights
"""
KINDS = ("schema", "default", "table", "view", "sequence", "function")
ORDER = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
ROLES = (
    "PUBLIC",
    "anon",
    "authenticated",
    "app_admin",
    "service_role",
    "supabase_auth_admin",
)


def _place(value: str, known: tuple[str, ...]) -> tuple[int, str]:
    return (known.index(value) if value in known else len(known), value)


def manifest(db: psycopg.Connection[Any]) -> str:
    """The rights as they are in this database."""
    rights: dict[tuple[str, str], dict[str, dict[str, list[str]]]] = defaultdict(lambda: defaultdict(dict))
    for kind, name, grantee, privilege, column in db.execute(RIGHTS.encode()):
        held = rights[kind, name]
        if grantee is not None:
            # on the table and on single columns are two rights, even where one covers the other
            columns = held[grantee].setdefault(privilege if column is None else f"{privilege}()", [])
            columns.extend(filter(None, [column]))
    lines = [HEAD]
    for kind, name in sorted(rights, key=lambda key: (KINDS.index(key[0]), key[1])):
        lines.append(f"{kind} {name}")
        for grantee in sorted(rights[kind, name], key=lambda role: _place(role, ROLES)):
            own = rights[kind, name][grantee]
            words = [
                f"{word.removesuffix('()')}({' '.join(sorted(own[word]))})" if word.endswith("()") else word
                for word in sorted(own, key=lambda word: _place(word.removesuffix("()"), ORDER))
            ]
            lines.append(f"    {grantee:<17} {' '.join(words)}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints the manifest of the database that SUPABASE_DB_URL names."""
    with psycopg.connect(os.environ["SUPABASE_DB_URL"]) as db:
        sys.stdout.write(manifest(db))


if __name__ == "__main__":
    main()

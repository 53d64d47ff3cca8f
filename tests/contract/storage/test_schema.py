"""The storage schema is the one the real server's migrations leave behind, as far as it can be reached here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.auth.test_schema import described
from tests.support.people import Connection, refused

RECORDED = json.loads(Path(__file__).with_name("storage_schema.json").read_text())
NOT_REACHED = {
    "get_size_by_bucket()",  # told by its columns alone
    "list_multipart_uploads_with_delimiter(text,text,text,integer,text,text)",
    "list_objects_with_delimiter(text,text,text,integer,text,text,text)",
    "search_by_timestamp(text,text,integer,integer,text,text,text,text)",
    "search_v2(text,text,integer,integer,text,text,text,text)",
}
SAMPLES = [
    (signature.partition("(")[0], sample)
    for signature, function in RECORDED["functions"].items()
    for sample in function.get("samples", ())
]


@pytest.mark.parametrize("table", sorted(RECORDED["tables"]))
def test_table_is_as_recorded(db: Connection, table: str) -> None:
    db.execute("set local search_path = ''")  # names are written out, as they were when recorded
    wanted = RECORDED["tables"][table]
    columns = [{name: value for name, value in column.items() if name != "note"} for column in wanted["columns"]]
    seen = described(db, f"storage.{table}")
    assert seen == {
        "columns": columns,
        "constraints": wanted["constraints"],
        "indexes": wanted["indexes"],
        "row_security": wanted["rls"],
    }
    triggers = db.execute(
        "select tgname from pg_trigger where tgrelid = %s::regclass and not tgisinternal", (f"storage.{table}",)
    )
    assert {name for (name,) in triggers} == wanted["triggers"].keys()
    grants = db.execute(
        "select grantee::regrole::text, privilege_type || case when is_grantable then ' with grant option' else '' end"
        " from pg_class, aclexplode(relacl) where oid = %s::regclass",
        (f"storage.{table}",),
    ).fetchall()
    owner = "supabase_storage_admin"
    assert {grant for grant in grants if grant[0] != owner} == {
        (role, right) for role, rights in wanted["grants"].items() if role != owner for right in rights
    }


def test_storage_owns_its_schema_and_nothing_of_ours_is_in_it(db: Connection) -> None:
    wanted = {(role, right) for role, rights in RECORDED["schema"]["grants"].items() for right in rights}
    seen = db.execute(
        "select grantee::regrole::text, privilege_type from pg_namespace, aclexplode(nspacl) where nspname = 'storage'"
    ).fetchall()
    assert set(seen) == wanted
    owners = db.execute(
        "select distinct relowner::regrole::text from pg_class where relnamespace = 'storage'::regnamespace"
    ).fetchall()
    assert owners == [("supabase_storage_admin",)]
    assert db.execute("select count(*) from pg_policies where schemaname = 'storage'").fetchone() == (0,)


def test_functions_are_as_recorded(db: Connection) -> None:
    rows = db.execute(
        "select proname, pg_get_function_arguments(oid), pg_get_function_result(oid),"
        " case provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end, prosecdef"
        " from pg_proc where pronamespace = 'storage'::regnamespace"
    ).fetchall()
    wanted = {
        (signature.partition("(")[0], found["arguments"], found["returns"], found["volatility"], False)
        for signature, found in RECORDED["functions"].items()
        if signature not in NOT_REACHED or signature == "get_size_by_bucket()"
    }
    assert set(rows) == wanted


@pytest.mark.parametrize(("name", "sample"), SAMPLES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(SAMPLES)])
def test_function_answers_as_recorded(db: Connection, name: str, sample: dict[str, Any]) -> None:
    db.execute("select set_config('storage.operation', %s, true)", (sample.get("setting", ""),))
    marks = ", ".join("%s::text[]" if isinstance(value, list) else "%s" for value in sample.get("in", ()))
    answer = db.execute(f"select storage.{name}({marks})".encode(), sample.get("in", ())).fetchone()
    assert answer == (sample["out"],)


def test_rows_are_deleted_by_storage_alone(db: Connection) -> None:
    db.execute("insert into storage.buckets (id, name) values ('ct-x', 'ct-x')")
    db.execute("insert into storage.objects (bucket_id, name, metadata) values ('ct-x', 'a', '{\"size\": 3}')")
    refused(db, "42501", "delete from storage.objects")
    refused(db, "42501", "delete from storage.buckets where id = 'ct-x'")
    refused(db, "P0001", "update storage.buckets set name = repeat('x', 101) where id = 'ct-x'")
    assert ("ct-x", 3) in db.execute("select bucket_id, size from storage.get_size_by_bucket()").fetchall()
    refused(db, "PT200", "select storage.can_insert_object('ct-x', 'b', null, null)")
    db.execute("set local storage.allow_delete_query = 'true'")
    assert db.execute("delete from storage.objects where bucket_id = 'ct-x'").rowcount == 1

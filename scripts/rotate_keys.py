"""``./scripts/rotate-keys``: encrypts everything anew that is not encrypted with the newest key of ENCRYPTION_KEYS.

It may run beside functions and workers that already know the newest key, be stopped at any moment, and be run again: a
value is replaced only if it is still the one that was read, and each in a transaction of its own.

A column is encrypted when its name ends in ``_enc``. What a value is bound to is a convention, too: the field is the
column's name without that ending, the row's id is the primary key or another id of the same row.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from functions.shared.crypto import DecryptionFailed, Envelope
from functions.shared.settings import SettingError, load_encryption_keys

Connection = psycopg.Connection[dict[str, Any]]

ENDING = "_enc"
BATCH_ROWS = 50
MAX_LOCK_MILLISECONDS = 5000
MAX_PASSES = 3
MAX_NAMED = 10
COLUMNS = """
select n.nspname as schema, c.relname as table, a.attname as column,
       (select min(k.attname) from pg_index as i
        join pg_attribute as k on k.attrelid = c.oid and k.attnum = any (i.indkey)
        where i.indrelid = c.oid and i.indisprimary having count(*) = 1) as key,
       array(select o.attname from pg_attribute as o
             where o.attrelid = c.oid and o.attnum > 0 and not o.attisdropped and o.attname like '%\\_id'
             order by o.attnum) as ids
from pg_attribute as a
join pg_class as c on c.oid = a.attrelid and c.relkind = 'r'
join pg_namespace as n on n.oid = c.relnamespace and n.nspname in ('public', 'private')
where a.attname like '%\\_enc' and a.attnum > 0 and not a.attisdropped
order by 1, 2, a.attnum
"""


class NotRotated(Exception):
    """The command cannot do its work; the message says why."""


@dataclass(frozen=True)
class Column:
    """An encrypted column, its table's primary key, and the columns with ids that a value may be bound to."""

    schema: str
    table: str
    name: str
    key: str
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}.{self.name}"

    @property
    def field(self) -> str:
        """What its values are bound to besides the row."""
        return self.name.removesuffix(ENDING)

    def statement(self, text: str) -> sql.Composed:
        """SQL with ``{table}``, ``{column}`` and ``{key}`` filled in."""
        names = {"table": (self.schema, self.table), "column": (self.name,), "key": (self.key,)}
        return sql.SQL(text).format(**{name: sql.Identifier(*parts) for name, parts in names.items()})


def encrypted_columns(db: Connection) -> list[Column]:
    """Every encrypted column of the database.

    :raise NotRotated: a table with such a column has no primary key of one column
    """
    found = []
    for row in db.execute(COLUMNS.encode()):
        if row["key"] is None:
            raise NotRotated(f"{row['schema']}.{row['table']} needs a primary key of one column")
        found.append(Column(row["schema"], row["table"], row["column"], row["key"], tuple(row["ids"])))
    return found


def older(db: Connection, column: Column, newest: int) -> Iterator[dict[str, Any]]:
    """The rows whose value is encrypted with another key than the newest, in the order of their keys."""
    first = "select * from {table} where {column} is not null and {column} not like %(newest)s "
    batch, following = "order by {key} limit %(batch)s", "and {key} > %(after)s "
    given = {"newest": f"v{newest}:%", "batch": BATCH_ROWS}
    rows = db.execute(column.statement(first + batch), given).fetchall()
    while rows:
        yield from rows
        given["after"] = rows[-1][column.key]
        rows = db.execute(column.statement(first + following + batch), given).fetchall()


def encrypted_anew(envelope: Envelope, column: Column, row: Mapping[str, Any]) -> str | None:
    """The row's value under the newest key; None when it does not open with any key for any id of the row."""
    for name in dict.fromkeys((column.key, *column.ids)):
        if row[name] is not None:
            try:
                plain = envelope.decrypt(row[column.name], row_id=str(row[name]), field=column.field)
            except DecryptionFailed:
                continue
            return envelope.encrypt(plain, row_id=str(row[name]), field=column.field)
    return None


def replace(db: Connection, column: Column, row: Mapping[str, Any], value: str) -> bool:
    """Puts the value in place of the one that was read; False when somebody else was faster, or holds the row."""
    with contextlib.suppress(psycopg.errors.LockNotAvailable), db.transaction():
        db.execute(sql.SQL("set local lock_timeout = {}").format(MAX_LOCK_MILLISECONDS))
        # No trigger: the content is the same, so updated_at stays.
        db.execute("set local session_replication_role = replica")
        done = db.execute(
            column.statement("update {table} set {column} = %s where {key} = %s and {column} = %s"),
            (value, row[column.key], row[column.name]),
        )
        return done.rowcount == 1
    return False


def rotate(db: Connection, envelope: Envelope, newest: int) -> tuple[Counter[Column], dict[Column, list[str]]]:
    """Passes over all columns until nothing is left to do: rows move between tables meanwhile.

    :return: how many values were encrypted anew by column, and the rows whose value does not open
    """
    done: Counter[Column] = Counter()
    unreadable: dict[Column, list[str]] = {}
    for _ in range(MAX_PASSES):
        before, unreadable = done.total(), {}
        for column in encrypted_columns(db):
            for row in older(db, column, newest):
                value = encrypted_anew(envelope, column, row)
                if value is None:
                    unreadable.setdefault(column, []).append(str(row[column.key]))
                elif replace(db, column, row, value):
                    done[column] += 1
        if done.total() == before:
            break
    return done, unreadable


def in_use(db: Connection) -> dict[int, Counter[Column]]:
    """How many values there are of each key number, by column."""
    found: dict[int, Counter[Column]] = {}
    for column in encrypted_columns(db):
        counts = "select substring({column} from '^v([0-9]+):')::int as number, count(*) from {table} "
        for row in db.execute(column.statement(counts + "where {column} is not null group by 1")):
            found.setdefault(row["number"], Counter())[column] = row["count"]
    return found


def report(done: Counter[Column], unreadable: Mapping[Column, Sequence[str]], used: dict[int, Counter[Column]]) -> None:
    """Says by column what was done, what does not open, and where which key is in use."""
    for column in sorted({*done, *(column for counts in used.values() for column in counts)}, key=str):
        print(f"{column}: {done[column]} encrypted anew")
    for column, rows in unreadable.items():
        more = f" and {len(rows) - MAX_NAMED} more" if len(rows) > MAX_NAMED else ""
        print(f"{column}: no key opens the rows {', '.join(rows[:MAX_NAMED])}{more}")
    for number, counts in sorted(used.items()):
        places = ", ".join(f"{count} in {column}" for column, count in sorted(counts.items(), key=str))
        print(f"key {number} is in use: {places}")


def main(arguments: Sequence[str]) -> int:
    """Rotates and reports; 0 when the newest key alone is in use, 1 otherwise."""
    parser = argparse.ArgumentParser("./scripts/rotate-keys", description=str(__doc__).partition("\n\n")[0])
    parser.parse_args(arguments)
    try:
        url = os.environ.get("DATABASE_URL")
        if not url:
            raise NotRotated("DATABASE_URL is not set: give the connection string of the database's owner")
        keys = load_encryption_keys()
        newest = max(keys)
        # not prepared: poolers hand each transaction to another session
        with psycopg.connect(url, autocommit=True, prepare_threshold=None, row_factory=dict_row) as db:
            done, unreadable = rotate(db, Envelope(keys), newest)
            used = in_use(db)
    except (NotRotated, SettingError, psycopg.Error) as problem:
        print(f"headstart: {problem}", file=sys.stderr)
        return 1
    report(done, unreadable, used)
    old = sorted(set(used) - {newest})
    if old:
        print(f"Keep {', '.join(f'key {number}' for number in old)} in ENCRYPTION_KEYS: old keys are still in use.")
        return 1
    print(f"No key but {newest} is in use: the others may be taken out of ENCRYPTION_KEYS.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

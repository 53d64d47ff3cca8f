"""Reads every index once, so that a fresh database counts none of them as unused.

The advisor's rule 0005 looks at how often each index was read since the statistics began. On a database a minute old
that is zero everywhere and says nothing. The counters outlive a clean stop, so this runs once, when the template is
made. It also proves that the planner can use each index at all.
"""

from __future__ import annotations

import psycopg

INDEXES = """
    select i.indexrelid::regclass::text, i.indrelid::regclass::text, i.indrelid, i.indexrelid, m.amname,
           pg_get_indexdef(i.indexrelid, 1, true), coalesce(pg_get_expr(i.indpred, i.indrelid), 'true')
    from pg_index i
    join pg_class c on c.oid = i.indexrelid
    join pg_am m on m.oid = c.relam
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('public', 'private') and not i.indisunique
"""


class IndexUnused(RuntimeError):
    """The planner would not use an index even with nothing else to choose from."""


def read_every_index(superuser_url: str) -> int:
    """Reads each non-unique index of ours with the table's other indexes out of the way; how many there are.

    Needs a superuser, because it hides the others in the catalogue; all of it is rolled back.

    :raise IndexUnused: a plan came out without the index
    """
    with psycopg.connect(superuser_url) as connection:
        indexes = connection.execute(INDEXES).fetchall()
        connection.execute("set local enable_seqscan = off")
        for index, table, table_id, index_id, method, column, predicate in indexes:
            with connection.transaction(force_rollback=True):
                others = "update pg_index set indisvalid = false where indrelid = %s and indexrelid <> %s"
                connection.execute(others, (table_id, index_id))
                condition = f"({column}) @> '{{}}'" if method == "gin" else f"({column}) is not null"
                query = f"select from {table} where {condition} and ({predicate})"
                plan = "\n".join(row[0] for row in connection.execute(f"explain {query}".encode()).fetchall())
                if index.rpartition(".")[2].strip('"') not in plan:
                    raise IndexUnused(f"{index} on {table}:\n{plan}")
                connection.execute(query.encode())
        return len(indexes)

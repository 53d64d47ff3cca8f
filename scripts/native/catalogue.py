"""Everything a database says about our schemas, as lines that can be compared between two databases.

Covers columns, defaults, constraints, indexes, triggers, function bodies and settings, views and their options, enums,
comments, row level security, policies, and every privilege (schemas, tables, columns, sequences, functions, defaults).
Physical column order is left out on purpose: an old database gets new columns at the end.
"""

from __future__ import annotations

from typing import Any

import psycopg

OURS = "('public', 'private', 'hooks')"

QUERIES: dict[str, str] = {
    "schema": f"""
        select format('%s owner=%s acl=%s comment=%s', n.nspname, n.nspowner::regrole,
               (select string_agg(a::text, ',' order by a::text) from unnest(n.nspacl) a),
               obj_description(n.oid, 'pg_namespace'))
        from pg_namespace n where n.nspname in {OURS}""",
    "relation": f"""
        select format('%s kind=%s owner=%s rls=%s force=%s options=%s persistence=%s acl=%s comment=%s',
               c.oid::regclass, c.relkind, c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity,
               (select string_agg(o, ',' order by o) from unnest(c.reloptions) o), c.relpersistence,
               (select string_agg(a::text, ',' order by a::text) from unnest(c.relacl) a),
               obj_description(c.oid, 'pg_class'))
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in {OURS} and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')""",
    "column": f"""
        select format('%s.%s %s notnull=%s default=%s identity=%s generated=%s collation=%s storage=%s '
               'stats=%s options=%s acl=%s comment=%s',
               a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attcollation::regcollation,
               a.attstorage, a.attstattarget, a.attoptions,
               (select string_agg(x::text, ',' order by x::text) from unnest(a.attacl) x),
               col_description(a.attrelid, a.attnum))
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where n.nspname in {OURS} and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f')""",
    "constraint": f"""
        select format('%s %s %s validated=%s comment=%s',
               coalesce(k.conrelid::regclass::text, k.contypid::regtype::text),
               k.conname, pg_get_constraintdef(k.oid), k.convalidated, obj_description(k.oid, 'pg_constraint'))
        from pg_constraint k join pg_namespace n on n.oid = k.connamespace where n.nspname in {OURS}""",
    "index": f"""
        select format('%s valid=%s options=%s comment=%s', pg_get_indexdef(i.indexrelid), i.indisvalid,
               c.reloptions, obj_description(c.oid, 'pg_class'))
        from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in {OURS}""",
    "trigger": f"""
        select format('%s enabled=%s comment=%s', pg_get_triggerdef(t.oid), t.tgenabled,
               obj_description(t.oid, 'pg_trigger'))
        from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = p.pronamespace
        where not t.tgisinternal and n.nspname in {OURS}""",
    "function": f"""
        select format('%s owner=%s acl=%s comment=%s', pg_get_functiondef(p.oid), p.proowner::regrole,
               (select string_agg(a::text, ',' order by a::text) from unnest(p.proacl) a),
               obj_description(p.oid, 'pg_proc'))
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in {OURS} and p.prokind in ('f', 'p')""",
    "view": f"""
        select format('%s %s', c.oid::regclass, pg_get_viewdef(c.oid))
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in {OURS} and c.relkind in ('v', 'm')""",
    "type": f"""
        select format('%s owner=%s kind=%s labels=%s acl=%s comment=%s', t.oid::regtype, t.typowner::regrole, t.typtype,
               (select string_agg(e.enumlabel, ',' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
               (select string_agg(a::text, ',' order by a::text) from unnest(t.typacl) a),
               obj_description(t.oid, 'pg_type'))
        from pg_type t join pg_namespace n on n.oid = t.typnamespace
        where n.nspname in {OURS} and t.typtype in ('e', 'd', 'r')""",
    "policy": """
        select format('%s %s %s %s to=%s using=%s check=%s comment=%s',
               p.polrelid::regclass, p.polname, p.polpermissive,
               p.polcmd, (select string_agg(r::regrole::text, ',' order by r::regrole::text) from unnest(p.polroles) r),
               pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
               obj_description(p.oid, 'pg_policy'))
        from pg_policy p""",
    "default privilege": """
        select format('for=%s schema=%s kind=%s acl=%s', d.defaclrole::regrole, d.defaclnamespace::regnamespace,
               d.defaclobjtype, (select string_agg(a::text, ',' order by a::text) from unnest(d.defaclacl) a))
        from pg_default_acl d""",
    "publication": "select format('%s %s', pubname, tablename) from pg_publication_tables",
}


def catalogue(connection: psycopg.Connection[Any]) -> set[str]:
    """One line for each thing, prefixed by what it is."""
    connection.execute("set search_path = ''")
    return {
        f"{what}: {line}"
        for what, query in QUERIES.items()
        for (line,) in connection.execute(query.encode()).fetchall()
    }

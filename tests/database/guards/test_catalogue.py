"""Rules that hold for every table, function and policy, looked up in the catalogue: the next one is covered the day it
is added. Each guard is also seen red: a change that breaks its rule is made, found, and rolled back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

# The schemas that are ours. The rest belongs to the platform.
OURS = "('public'::regnamespace, 'private'::regnamespace)"
TABLES = f"(select oid, relnamespace, relname from pg_class where relnamespace in {OURS} and relkind in ('r', 'p'))"
POLICIES = (
    "(select p.*, c.relname, c.relnamespace, coalesce(pg_get_expr(polqual, polrelid), '') as using_text, "
    "coalesce(pg_get_expr(polwithcheck, polrelid), '') as check_text from pg_policy as p "
    f"join pg_class as c on c.oid = polrelid where c.relnamespace in {OURS})"
)

# Columns of jsonb that hold a list; every other one holds an object.
JSON_LISTS = (
    "messages.citations",
    "generated_content.citations",
    "clo_notes.resources",
    "engineer_notes.recommendations",
    "engineer_notes.technical_debt_items",
    "brand_packages.social_content_suggestions",
    "brand_packages.assets",
    "brand_packages.sources",
    "plans.features",
    "planner_settings.working_hours",
    "qa_interactions.citations",
    "practice_assignment_answers.citations",
    "private.confidence_calibrators.steps",
)
# They keep what a worker or an answer brought, of whatever kind.
JSON_ANYTHING = ("jobs.result", "private.idempotency_keys.response")
# Without a value the row would mean nothing, so that there is no default.
JSON_REQUIRED = ("private.generation_events.part", "private.lti_signing_keys.public_jwk")


def listed(names: tuple[str, ...]) -> str:
    """Names as a list of SQL."""
    return ", ".join(f"'{name}'" for name in names)


JSON_COLUMNS = (
    "(select attrelid::regclass as name, attname, attnotnull, "
    "substring(pg_get_expr(adbin, adrelid) from '^''(.*)''::jsonb$') as written, "
    f"attrelid::regclass || '.' || attname in ({listed(JSON_REQUIRED)}) as is_required, "
    f"case when attrelid::regclass || '.' || attname in ({listed(JSON_LISTS)}) then 'array' "
    f"when attrelid::regclass || '.' || attname in ({listed(JSON_ANYTHING)}) then 'anything' "
    "else 'object' end as shape "
    "from pg_attribute join pg_class as c on c.oid = attrelid "
    "left join pg_attrdef on adrelid = attrelid and adnum = attnum "
    f"where relnamespace in {OURS} and relkind in ('r', 'p') and atttypid = 'jsonb'::regtype and not attisdropped)"
)

# Names that came with the designs this schema unites; clients and their runbooks know them.
SHORT_INDEX_NAMES = (
    "idx_pa_completed",
    "idx_pa_flagged",
    "idx_pa_source",
    "idx_pa_student",
    "idx_pbi_active",
    "idx_pbi_difficulty",
    "idx_pbi_goal_tags",
    "idx_pbi_subject",
    "idx_qa_confidence",
    "idx_qa_created",
    "idx_qa_student",
    "idx_sessions_date",
    "idx_sessions_student",
    "idx_sessions_tutor",
    "idx_sr_rating",
    "idx_sr_student",
    "idx_sr_subject",
    "idx_tsa_status",
    "idx_tsa_student",
    "idx_tsa_tutor",
)


@dataclass(frozen=True)
class Guard:
    """A rule: ``offenders`` selects what breaks it, ``breach`` makes something that does."""

    name: str
    offenders: str
    breach: str


GUARDS = [
    Guard(
        "row level security is on, for every table and partition",
        f"select oid::regclass from {TABLES} as t where not (select relrowsecurity from pg_class where oid = t.oid)",
        "alter table public.goals disable row level security",
    ),
    Guard(
        "every table has a policy: closed on purpose reads `nobody`",
        f"select oid::regclass from {TABLES} as t where not exists (select from pg_policy where polrelid = t.oid)",
        "create table public.probe (id int primary key); alter table public.probe enable row level security",
    ),
    Guard(
        "a policy is named <command>_<who> and gives; three names that take away stand apart",
        f"""select polrelid::regclass, polname from {POLICIES} as p where not (
            (polpermissive and polname ~ ('^' || case polcmd when 'r' then 'select' when 'a' then 'insert'
                when 'w' then 'update' when 'd' then 'delete' else '$' end || '_[a-z_]+$'))
            or (not polpermissive and polcmd = '*' and polname = 'all_admin_of_now')
            or (not polpermissive and polcmd = 'r' and polname = 'select_not_explained')
            or (polname = 'nobody' and using_text = 'false' and check_text in ('', 'false'))
        )""",
        "alter policy select_own on public.weeks rename to weeks_policy",
    ),
    Guard(
        "a table that clients read refuses to be explained: estimates of row counts depend on rows of others",
        f"""select oid::regclass from {TABLES} as t
        where (has_table_privilege('anon', oid, 'select') or has_table_privilege('app_admin', oid, 'select'))
        and not exists (
            select from pg_policy where polrelid = t.oid and not polpermissive and polcmd = 'r'
            and polroles @> array['anon'::regrole, 'authenticated'::regrole]::oid[]
            and pg_get_expr(polqual, polrelid) = 'private.not_explained()'
        )""",
        "drop policy select_not_explained on public.weeks",
    ),
    Guard(
        "what refuses to be explained is called while a query is planned: only immutable functions are",
        """select oid::regprocedure from pg_proc
        where oid = 'private.not_explained()'::regprocedure and provolatile <> 'i'""",
        "alter function private.not_explained() stable",
    ),
    Guard(
        "a policy names the roles it is for",
        f"select polrelid::regclass, polname from {POLICIES} as p where 0 = any (polroles)",
        "create policy insert_anybody on public.weeks for insert with check (false)",
    ),
    Guard(
        "a policy is for roles of the API (or for Auth, which reads a role to issue a token)",
        f"""select polrelid::regclass, polname from {POLICIES} as p, unnest(polroles) as role
        where role::regrole::text not in (
            'anon', 'authenticated', 'app_admin', 'supabase_auth_admin'
        )""",
        "create policy insert_service on public.weeks for insert to service_role with check (false)",
    ),
    Guard(
        "a policy has a comment",
        f"select polrelid::regclass, polname from {POLICIES} as p where obj_description(p.oid, 'pg_policy') is null",
        "create policy insert_admin on public.weeks for insert to app_admin with check (false)",
    ),
    Guard(
        "one permissive policy for each table, role and command",
        f"""select polrelid::regclass, role::regrole, polcmd from {POLICIES} as p, unnest(polroles) as role
        where polpermissive group by 1, 2, 3 having count(*) > 1
        union all
        select polrelid::regclass, null, '*' from {POLICIES} as p
        where polpermissive and polcmd = '*' and polname <> 'nobody'""",
        "create policy select_more on public.weeks for select to authenticated using (false)",
    ),
    Guard(
        "staff is a database role: no policy of authenticated asks whether the caller is an administrator",
        f"""select polrelid::regclass, polname from {POLICIES} as p
        where 'authenticated'::regrole = any (polroles)
        and using_text || check_text ~ 'admin|user_role|service_role'"""
        "",
        "alter policy select_own on public.weeks using (((select auth.jwt()) ->> 'user_role') = 'admin')",
    ),
    Guard(
        "rights never come from user_metadata, which people write themselves",
        f"select polrelid::regclass, polname from {POLICIES} as p where using_text || check_text ~ 'user_metadata'",
        "alter policy select_own on public.weeks using (((select auth.jwt()) -> 'user_metadata') is null)",
    ),
    Guard(
        # a function in a policy runs as the caller: it reads the token by private.caller_id(), never by itself
        "policies, views and column defaults learn who is calling from private.caller_id() alone",
        f"""select polrelid::regclass, polname from {POLICIES} as p
        where using_text || check_text ~ 'auth\\.|current_setting\\(|CURRENT_(USER|ROLE)|SESSION_USER'
        union all
        select adrelid::regclass, pg_get_expr(adbin, adrelid) from pg_attrdef join pg_class as c on c.oid = adrelid
        where relnamespace in {OURS} and pg_get_expr(adbin, adrelid) ~ 'auth\\.|current_setting\\('
        union all
        select oid::regclass, relname from pg_class where relnamespace in {OURS} and relkind = 'v'
        and pg_get_viewdef(oid) ~ 'auth\\.|current_setting\\('""",
        "alter policy select_own on public.weeks using (user_id = (select auth.uid()))",
    ),
    Guard(
        # the audit log records the role a request came with; that is no right
        "functions learn who is calling from private.caller_id() alone, and no claim of a token gives a right",
        f"""select oid::regprocedure from pg_proc
        where pronamespace in {OURS}
        and coalesce(pg_get_function_sqlbody(oid), prosrc) ~ 'auth\\.(uid|jwt|role|email)\\('
        and proname not in ('caller_id', 'write_audit')""",
        """create function public.probe() returns uuid language plpgsql set search_path = ''
        as 'begin return auth.uid(); end'""",
    ),
    Guard(
        # with check looks at the one row that is written, so there a helper may ask about it
        "helper calls in `using` are wrapped in a select; private.tutors asks about rows that an index picked",
        f"""select polrelid::regclass, polname from {POLICIES} as p
        where regexp_replace(using_text, '(SELECT|FROM) private\\.\\w+\\(', '', 'g') ~ 'private\\.\\w+\\('
        and (relname, polname) not in (
            ('tutoring_sessions', 'update_tutor'), ('goals', 'update_shaper'),
            ('practice_assignments', 'update_tutor'), ('practice_assignment_answers', 'select_reader')
        ) and polname <> 'select_not_explained'""",
        "alter policy select_own on public.weeks using (id = any (private.my_weeks()))",
    ),
    Guard(
        "each half of a policy of signed-in people asks about the caller, so that an anonymous sign-in gets nothing",
        f"""select polrelid::regclass, polname from {POLICIES} as p, unnest(array[using_text, check_text]) as half
        where 'authenticated'::regrole = any (polroles) and polname <> 'nobody'
        and half <> '' and half !~ 'private\\.'""",
        "alter policy select_active on public.agents using (is_active)",
    ),
    Guard(
        # a restrictive policy, because an "or" with the policies of everybody would be looked at row by row
        "where staff has a policy, all its rights depend on the profile of now: a token may name a role that is gone",
        f"""select relname from {TABLES} as t where exists (
            select from pg_policy where polrelid = t.oid and 'app_admin'::regrole = any (polroles)
        ) and not exists (
            select from {POLICIES} as p where polrelid = t.oid and not polpermissive and polcmd = '*'
            and polroles = array['app_admin'::regrole]::oid[]
            and using_text = '( SELECT private.is_admin() AS is_admin)' and check_text = using_text
        )""",
        "drop policy all_admin_of_now on public.agents",
    ),
    Guard(
        "a function for staff alone asks the profile of now",
        """select oid::regprocedure from pg_proc where pronamespace = 'private'::regnamespace
        and has_function_privilege('app_admin', oid, 'execute')
        and not has_function_privilege('authenticated', oid, 'execute')
        and prosrc !~ 'perform private\\.require_admin\\(\\);' and oid <> 'private.is_admin()'::regprocedure
        union all
        -- what is called from outside only passes on to one of those
        select oid::regprocedure from pg_proc where pronamespace = 'public'::regnamespace
        and has_function_privilege('app_admin', oid, 'execute')
        and not has_function_privilege('authenticated', oid, 'execute')
        and pg_get_function_sqlbody(oid) !~ ('private\\.' || proname || '\\(')""",
        """create function private.probe() returns int language sql set search_path = '' as 'select 1';
        grant execute on function private.probe() to app_admin""",
    ),
    Guard(
        "`true` is for staff",
        f"""select polrelid::regclass, polname from {POLICIES} as p
        where 'true' in (using_text, check_text)
        and not polroles <@ array['app_admin'::regrole, 'supabase_auth_admin'::regrole]::oid[]""",
        "alter policy select_visitor on public.plans using (true)",
    ),
    Guard(
        "an update policy says both which rows and what they may become",
        f"""select polrelid::regclass, polname from {POLICIES} as p
        where polcmd = 'w' and (polqual is null or polwithcheck is null)""",
        "create policy update_half on public.clo_notes for update to app_admin using (true)",
    ),
    Guard(
        # docs/decisions/0013-one-list-of-students.md
        "a table that is read by a list of students and can be read by date says that a student has few rows",
        f"""select distinct i.indrelid::regclass from pg_index as i
        join pg_attribute as a on a.attrelid = indrelid and a.attnum = indkey[0]
        join {POLICIES} as p on p.polrelid = indrelid and p.using_text ~ 'ANY .*private\\.\\w+_students'
        where a.atttypid in ('timestamptz'::regtype, 'date'::regtype) and not exists (
            select from pg_attribute as s where s.attrelid = indrelid and s.attname = 'student_id'
            and 'n_distinct=-0.1' = any (s.attoptions)
        )""",
        "alter table public.goals alter column student_id reset (n_distinct)",
    ),
    Guard(
        "a foreign key has an index that begins with its columns; a partial one only leaves out nulls",
        f"""select conrelid::regclass, conname from pg_constraint as k
        where contype = 'f' and connamespace in {OURS} and not exists (
            select from pg_index as i
            where indrelid = conrelid and (indkey::int2[])[0:cardinality(conkey) - 1] = conkey
            and coalesce(pg_get_expr(indpred, indrelid), '') = any (
                array[''] || array(
                    select format('(%I IS NOT NULL)', attname) from pg_attribute
                    where attrelid = conrelid and attnum = any (conkey)
                )
            )
        )""",
        "drop index public.idx_reviews_week_id",
    ),
    Guard(
        "a foreign key states what a deletion does",
        f"""select conrelid::regclass, conname from pg_constraint
        where contype = 'f' and connamespace in {OURS} and confdeltype = 'a'""",
        """alter table public.reviews drop constraint reviews_user_id_fkey;
        alter table public.reviews add constraint reviews_user_id_fkey
        foreign key (user_id) references public.profiles (user_id)""",
    ),
    Guard(
        "SET NULL of several columns names the one it clears, for the owner stays",
        f"""select conrelid::regclass, conname from pg_constraint
        where contype = 'f' and connamespace in {OURS} and confdeltype = 'n'
        and cardinality(conkey) > 1 and cardinality(confdelsetcols) is distinct from 1""",
        """alter table public.reviews drop constraint reviews_week_id_fkey;
        alter table public.reviews add constraint reviews_week_id_fkey
        foreign key (week_id, user_id) references public.weeks (id, user_id) on delete set null""",
    ),
    Guard(
        "a foreign key is named <table>_<first column>_fkey: front ends embed by that name",
        f"""select conrelid::regclass, conname from pg_constraint as k
        join pg_class as c on c.oid = conrelid
        join pg_attribute as a on a.attrelid = conrelid and a.attnum = conkey[1]
        where contype = 'f' and connamespace in {OURS} and conname <> c.relname || '_' || a.attname || '_fkey'""",
        "alter table public.reviews rename constraint reviews_week_id_fkey to reviews_week_fk",
    ),
    Guard(
        "a child that repeats its parent's owner points at both, so that it can never belong to somebody else",
        """select k.conrelid::regclass, k.conname from pg_constraint as k
        join pg_attribute as child on child.attrelid = k.conrelid and child.attname in (
            'user_id', 'student_id', 'teacher_id'
        )
        join pg_attribute as parent on parent.attrelid = k.confrelid and parent.attname = child.attname
        join pg_constraint as pair on pair.conrelid = k.confrelid and pair.contype = 'u'
            and pair.conkey @> array[parent.attnum] and pair.conkey @> k.confkey and cardinality(pair.conkey) = 2
        where k.contype = 'f' and k.connamespace = 'public'::regnamespace and cardinality(k.conkey) = 1
        and k.confrelid not in ('public.profiles'::regclass, 'public.teachers'::regclass)""",
        """alter table public.reviews drop constraint reviews_week_id_fkey;
        alter table public.reviews add constraint reviews_week_id_fkey
        foreign key (week_id) references public.weeks (id) on delete set null""",
    ),
    Guard(
        "every table has a primary key",
        f"""select oid::regclass from {TABLES} as t
        where not exists (select from pg_constraint where conrelid = t.oid and contype = 'p')""",
        "create table public.probe (id int)",
    ),
    Guard(
        "an index is named idx_<table>_<what>, a unique one uq_<table>_<what>",
        f"""select indexrelid::regclass from pg_index as i
        join pg_class as c on c.oid = indexrelid
        join pg_class as t on t.oid = indrelid
        where c.relnamespace in {OURS}
        and not starts_with(c.relname, case when indisunique then 'uq_' else 'idx_' end || t.relname || '_')
        and not exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x'))
        and c.relname <> all (array{list(SHORT_INDEX_NAMES)})""",
        "alter index public.idx_reviews_week_id rename to idx_week_id",
    ),
    Guard(
        "a constraint is named <table>_pkey, <table>_<columns>_key, <table>_<what>_check or <table>_<what>_excl",
        f"""select conrelid::regclass, conname from pg_constraint as k join pg_class as c on c.oid = conrelid
        where c.relnamespace in {OURS} and contype in ('p', 'u', 'c', 'x') and conname !~ (
            '^' || c.relname || case contype
                when 'p' then '_pkey$'
                when 'u' then '_' || (
                    select string_agg(attname, '_' order by nth) from unnest(conkey) with ordinality as u (n, nth)
                    join pg_attribute as a on a.attrelid = conrelid and a.attnum = u.n
                ) || '_key$'
                when 'c' then '_[a-z_]+_check$'
                when 'x' then '_[a-z_]+_excl$'
            end
        )
        and conname <> 'uq_courses_code'""",
        "alter table public.reviews rename constraint reviews_pkey to reviews_key",
    ),
    Guard(
        "a function pins an empty search path",
        f"""select oid::regprocedure from pg_proc
        where pronamespace in {OURS} and not coalesce('search_path=""' = any (proconfig), false)""",
        "alter function public.ensure_profile() reset search_path",
    ),
    Guard(
        "no function is open to PUBLIC or anon, but the one that anon's own policies ask",
        f"""select p.oid::regprocedure from pg_proc as p, aclexplode(coalesce(proacl, acldefault('f', proowner))) as acl
        where pronamespace in {OURS} and (acl.grantee = 0 or acl.grantee = 'anon'::regrole)
        and (p.oid, acl.grantee) <> ('private.not_explained()'::regprocedure, 'anon'::regrole)""",
        "grant execute on function public.ensure_profile() to public",
    ),
    Guard(
        "a SECURITY DEFINER function of the exposed schema is the service's alone",
        """select p.oid::regprocedure from pg_proc as p,
        unnest(array['anon', 'authenticated', 'app_admin']) as role
        where pronamespace = 'public'::regnamespace and prosecdef and has_function_privilege(role, p.oid, 'execute')""",
        "grant execute on function public.svc_purge_expired() to authenticated",
    ),
    Guard(
        "what clients call is bound when it is created (begin atomic) or is pure arithmetic",
        """select p.oid::regprocedure from pg_proc as p where pronamespace = 'public'::regnamespace
        and has_function_privilege('app_admin', p.oid, 'execute') and prosqlbody is null and provolatile <> 'i'""",
        """create function public.probe() returns int language sql set search_path = '' as 'select 1';
        grant execute on function public.probe() to app_admin""",
    ),
    Guard(
        "every schema, table, view and sequence of ours carries a comment",
        f"""select oid::regclass::text from pg_class
        where relnamespace in {OURS} and relkind in ('r', 'p', 'v', 'm') and obj_description(oid, 'pg_class') is null
        union all
        select nspname from pg_namespace where oid in {OURS} and obj_description(oid, 'pg_namespace') is null""",
        "comment on table public.goals is null",
    ),
    Guard(
        "every column carries a comment",
        f"""select attrelid::regclass, attname from pg_attribute join pg_class as c on c.oid = attrelid
        where relnamespace in {OURS} and relkind in ('r', 'p', 'v', 'm') and attnum > 0 and not attisdropped
        and col_description(attrelid, attnum) is null""",
        "comment on column public.goals.title is null",
    ),
    Guard(
        "every enum carries a comment",
        f"""select oid::regtype from pg_type
        where typnamespace in {OURS} and typtype in ('e', 'd') and obj_description(oid, 'pg_type') is null""",
        "comment on type public.goal_status is null",
    ),
    Guard(
        "every function carries a comment",
        f"""select oid::regprocedure from pg_proc
        where pronamespace in {OURS} and obj_description(oid, 'pg_proc') is null""",
        "comment on function public.ensure_profile() is null",
    ),
    Guard(
        "a view shows what the reader's own policies show",
        f"""select oid::regclass from pg_class where relnamespace in {OURS} and relkind = 'v'
        and not coalesce('security_invoker=true' = any (reloptions), false)""",
        "alter view public.v_student_progress reset (security_invoker)",
    ),
    Guard(
        "no materialized view or foreign table is visible to clients: they have no policies",
        "select oid::regclass from pg_class where relnamespace = 'public'::regnamespace and relkind in ('m', 'f')",
        "create materialized view public.probe as select * from public.goals",
    ),
    Guard(
        "a column that names a person points at profiles",
        """select attrelid::regclass, attname from pg_attribute join pg_class as c on c.oid = attrelid
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not attisdropped
        and attname in ('user_id', 'student_id', 'tutor_id', 'parent_id', 'owner_id', 'created_by', 'consented_by',
                        'escalated_to_tutor_id')
        and c.oid <> 'public.profiles'::regclass
        -- an answer's parent is a message, not a person
        and (c.oid, attname) not in (
            ('public.messages'::regclass, 'parent_id'), ('public.socratic_messages'::regclass, 'parent_id')
        )
        and not exists (
            select from pg_constraint
            where conrelid = c.oid and contype = 'f' and conkey = array[attnum]
            and confrelid = 'public.profiles'::regclass
        )""",
        "alter table public.goals drop constraint goals_student_id_fkey",
    ),
    Guard(
        "updated_at is kept by a trigger",
        f"""select attrelid::regclass from pg_attribute join pg_class as c on c.oid = attrelid
        where relnamespace in {OURS} and relkind in ('r', 'p') and attname = 'updated_at' and not attisdropped
        and not exists (
            select from pg_trigger where tgrelid = c.oid and tgname = 'trg_' || c.relname || '_updated_at'
            and tgfoid = 'public.set_updated_at()'::regprocedure and tgenabled = 'O'
        )""",
        "drop trigger trg_goals_updated_at on public.goals",
    ),
    Guard(
        "a trigger is named trg_<table>_<what>",
        f"""select tgrelid::regclass, tgname from pg_trigger join pg_class as c on c.oid = tgrelid
        where relnamespace in {OURS} and not tgisinternal and tgname !~ ('^trg_' || relname || '_[a-z_]+$')""",
        "alter trigger trg_goals_updated_at on public.goals rename to goals_updated",
    ),
    Guard(
        "a table that clients update keeps its other columns by a trigger",
        """select c.oid::regclass from pg_class as c
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
        and has_any_column_privilege('app_admin', c.oid, 'update')
        -- staff may write every column of these
        and c.oid not in ('public.guardianships'::regclass, 'public.lms_connections'::regclass)
        and not exists (
            select from pg_trigger where tgrelid = c.oid and tgname = 'trg_' || relname || '_columns'
            and tgfoid = 'private.keep_columns()'::regprocedure and tgenabled = 'O'
        )""",
        "drop trigger trg_goals_columns on public.goals",
    ),
    Guard(
        "keep_columns sees the row as it was sent: no trigger changes it before, and no column is generated",
        """select c.oid::regclass, earlier.tgname, attname from pg_class as c
        join pg_trigger as keeps on keeps.tgrelid = c.oid and keeps.tgfoid = 'private.keep_columns()'::regprocedure
        left join lateral (
            select t.tgname from pg_trigger as t
            where t.tgrelid = c.oid and t.tgname < keeps.tgname and not t.tgisinternal
            -- before, for each row, on update
            and t.tgtype & 1 = 1 and t.tgtype & 2 = 2 and t.tgtype & 16 = 16
            -- this one changes a column that people may write
            and t.tgname <> 'trg_profiles_clean'
        ) as earlier on true
        left join pg_attribute as a on a.attrelid = c.oid and a.attgenerated <> ''
        where earlier.tgname is not null or attname is not null""",
        "alter trigger trg_goals_updated_at on public.goals rename to trg_goals_before",
    ),
    Guard(
        "a jsonb column checks that it holds an object, or a list where JSON_LISTS says so",
        f"""select name, attname from {JSON_COLUMNS} as j where shape <> 'anything' and not exists (
            select from pg_constraint where conrelid = name and contype = 'c'
            and pg_get_constraintdef(oid) ~ format('jsonb_typeof\\(%s\\) = %L', attname, shape)
        )""",
        "alter table public.plans drop constraint plans_limits_check",
    ),
    Guard(
        "a jsonb column begins empty in its own shape, or is nullable and begins as null",
        f"""select name, attname, written from {JSON_COLUMNS} as j
        where written is distinct from case
            when not attnotnull or is_required then null else case shape when 'array' then '[]' else '{{}}' end
        end""",
        "alter table public.plans alter column features set default '{}'",
    ),
    Guard(
        "a text that clients write has a length check or a pattern",
        """select attrelid::regclass, attname from pg_attribute as a join pg_class as c on c.oid = attrelid
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and atttypid = 'text'::regtype
        and not attisdropped and attnum > 0
        and (has_column_privilege('app_admin', c.oid, attnum, 'insert')
             or has_column_privilege('app_admin', c.oid, attnum, 'update') and not exists (
                 select from pg_trigger where tgrelid = c.oid and tgfoid = 'private.keep_columns()'::regprocedure
                 and attname <> all (string_to_array(encode(tgargs, 'escape'), '\\000'))
             ))
        and not exists (
            select from pg_constraint where conrelid = c.oid and contype = 'c'
            and attnum = any (conkey) and pg_get_constraintdef(oid) ~ 'char_length|~|='
        )""",
        "alter table public.goals drop constraint goals_title_check",
    ),
    Guard(
        "select is granted on whole tables: a column grant would break select=*",
        f"""select attrelid::regclass, attname from pg_attribute join pg_class as c on c.oid = attrelid,
        aclexplode(attacl) as acl where relnamespace in {OURS} and acl.privilege_type = 'SELECT'""",
        "grant select (title) on public.goals to anon",
    ),
    Guard(
        "clients hold no TRUNCATE, REFERENCES or TRIGGER, which policies do not see",
        f"""select c.oid::regclass, acl.privilege_type from pg_class as c,
        aclexplode(coalesce(relacl, acldefault('r', relowner))) as acl
        where relnamespace in {OURS} and relkind in ('r', 'p', 'v', 'm')
        and acl.privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER')
        and (acl.grantee = 0 or acl.grantee::regrole::text ~ '^(anon|authenticated|app_.*)$')""",
        "grant truncate on public.goals to authenticated",
    ),
    Guard(
        "clients hold nothing on sequences",
        f"""select c.oid::regclass from pg_class as c, aclexplode(coalesce(relacl, acldefault('s', relowner))) as acl
        where relnamespace in {OURS} and relkind = 'S'
        and (acl.grantee = 0 or acl.grantee::regrole::text ~ '^(anon|authenticated|app_.*)$')""",
        "grant usage on sequence public.messages_seq_seq to authenticated",
    ),
    Guard(
        "nobody but the owner makes objects in our schemas, and no client may name `private`",
        f"""select nspname, acl.privilege_type from pg_namespace as n,
        aclexplode(coalesce(nspacl, acldefault('n', nspowner))) as acl
        where n.oid in {OURS} and acl.grantee <> nspowner and (
            acl.privilege_type = 'CREATE'
            or (nspname = 'private' and acl.grantee is distinct from 'supabase_auth_admin'::regrole)
        )""",
        "grant usage on schema private to authenticated",
    ),
    Guard(
        "everything of ours belongs to postgres",
        f"""select oid::regclass::text from pg_class where relnamespace in {OURS} and relowner <> 'postgres'::regrole
        union all
        select oid::regprocedure::text from pg_proc where pronamespace in {OURS} and proowner <> 'postgres'::regrole""",
        "grant create on schema public to service_role; alter function public.ensure_profile() owner to service_role",
    ),
]


def offenders(db: psycopg.Connection[Any], guard: Guard) -> list[str]:
    """What breaks the rule, in words."""
    return [" ".join(map(str, row)) for row in db.execute(guard.offenders.encode())]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_guard(db: psycopg.Connection[Any], guard: Guard) -> None:
    assert offenders(db, guard) == []
    db.execute(guard.breach.encode())
    assert offenders(db, guard) != [], f"nobody would notice: {guard.breach}"

-- The planner estimates a row count from statistics over everybody's rows. `Prefer: count=planned` with a filter on
-- another person's id would therefore tell how many rows that person has. Two parts refuse such counts to everybody but
-- the service: hooks.before_request gives the answer, and private.not_explained is the lock. The lock is needed because
-- PostgREST obeys the first of several Prefer lines and shows a function only the last.

create schema hooks;

comment on schema hooks is
    'Functions that PostgREST calls by itself, as the caller. Not exposed to clients; API roles only have usage.';

create function hooks.before_request()
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    if current_user <> 'service_role'
        and current_setting('request.headers', true)::json ->> 'prefer' ~* '\ycount\s*=\s*"?(planned|estimated)\y' then
        raise exception 'estimated row counts are refused: they depend on rows of others'
            using errcode = '42501', hint = 'Send Prefer: count=exact, or ask for no count.';
    end if;
end
$$;

comment on function hooks.before_request() is
    'PostgREST calls it first in every request. 42501 for Prefer: count=planned or count=estimated, except from the '
    'service.';

create function private.not_explained()
returns boolean
language plpgsql
-- not true of the body, and needed: the planner then calls it while it plans, and EXPLAIN only plans. Elsewhere the
-- condition is true before the query runs and costs nothing.
immutable
set search_path = ''
as $$
begin
    if session_user = 'authenticator' and current_query() ~* '^\s*explain' then
        raise exception 'estimated row counts are refused: they depend on rows of others'
            using errcode = '42501', hint = 'Send Prefer: count=exact, or ask for no count.';
    end if;
    return true;
end
$$;

comment on function private.not_explained() is
    'Condition of a policy on every table that clients read: 42501 when a REST session explains a query, else true.';

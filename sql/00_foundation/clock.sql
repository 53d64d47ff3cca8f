-- One clock for business rules (quotas, leases, windows, retention), so that a test can stop it. Column defaults and
-- updated_at use now(): they say when the row was written.

create function private.test_setting(p_name text)
returns text
language sql
stable
parallel safe
set search_path = ''
as $$
    select nullif(current_setting(p_name, true), '')
    where exists (select from pg_catalog.pg_roles where rolname = session_user and rolsuper)
        or exists (
            select from pg_catalog.pg_database
            where datname = current_database() and pg_catalog.pg_get_userbyid(datdba) = session_user
        );
$$;

comment on function private.test_setting(text) is
    'A setting that only tests may use: null unless the session belongs to a superuser or the owner of the database. '
    'API requests run in sessions of authenticator, so they cannot change time or chance.';

create function private.clock()
returns timestamptz
language plpgsql
stable
parallel safe
set search_path = ''
as $$
begin
    -- outside of tests the setting is empty, and asking for it is the only cost
    if nullif(current_setting('app.frozen_now', true), '') is null then
        return now();
    end if;
    return coalesce(private.test_setting('app.frozen_now')::timestamptz, now());
end
$$;

comment on function private.clock() is
    'The time of business rules: now(), or app.frozen_now where private.test_setting allows it.';

create function private.today()
returns date
-- Policies ask at every read, and plpgsql keeps its plan between statements.
language plpgsql
stable
parallel safe
set search_path = ''
as $$
begin
    return (private.clock() at time zone 'UTC')::date;
end
$$;

comment on function private.today() is
    'The UTC day of private.clock(). Never current_date: a client may set the time zone of its session.';

create function private.jitter()
returns double precision
language plpgsql
volatile
set search_path = ''
as $$
begin
    if nullif(current_setting('app.frozen_jitter', true), '') is null then
        return random();
    end if;
    return coalesce(private.test_setting('app.frozen_jitter')::double precision, random());
end
$$;

comment on function private.jitter() is
    'A random number in [0, 1) for back-off, or app.frozen_jitter where private.test_setting allows it.';

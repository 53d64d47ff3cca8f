-- Tables, functions and views of the room 00_foundation.
-- Touches: 00_foundation. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- The database role of staff. PostgREST switches to it when a token's `role` claim says app_admin, which only the
-- access token hook writes. It inherits authenticated, so an administrator keeps their own rows. What they see beyond
-- those is a policy `to app_admin`, never an "or is admin" in the policy of everybody, which would cost everybody the
-- index. The role decides how rows are found; whether there is a right, each such policy asks the profile
-- (private.is_admin()). Roles belong to the cluster, hence the guard.

do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'app_admin') then
        create role app_admin nologin;
        comment on role app_admin is 'Staff of the product: reached through the role claim of an access token.';
    end if;
end
$$;

grant authenticated to app_admin;
grant app_admin to authenticator;
-- so that the owner of the schema can try policies as staff
grant app_admin to postgres;

-- `private` holds what no client may name: secrets, outboxes, the audit log, and the functions that policies call.
-- It is never in the list of exposed schemas; callers reach its functions only through bound function bodies.

create schema private;

comment on schema private is
    'Not exposed: secrets, the queue''s internals, the audit log, and the helpers of policies. No API role has usage '
    'on it.';

-- Everything created later starts without rights for others. Older platforms granted new objects to the API roles by
-- default, and Postgres lets PUBLIC execute every new function; both are closed here, before the first table. So the
-- files of policies/ only grant, and what they do not name stays the owner's alone.
--
-- Default privileges belong to the role that creates an object. Closing those of postgres is enough: it runs every
-- migration, in production too, and a guard in the tests finds objects of ours with another owner. What the platform's
-- own roles create lies in their schemas.

-- This must be the global form: defaults of a schema can only add to it, never take away.
alter default privileges for role postgres revoke execute on functions from public;
alter default privileges for role postgres revoke all on tables from anon, authenticated, service_role;
alter default privileges for role postgres revoke all on sequences from anon, authenticated, service_role;
alter default privileges for role postgres revoke all on functions from anon, authenticated, service_role;

alter default privileges for role postgres in schema public
revoke all on tables from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
revoke all on sequences from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
revoke all on functions from anon, authenticated, service_role;

revoke create on schema public from public;

-- Checks of arguments that several rooms share. The error names the parameter, so that the caller knows which one to
-- change.

create function private.check_time(p_name text, p_value timestamptz)
returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
    -- 'infinity' sorts after every time and '-infinity' before; many clients read only years of four digits
    if p_value < timestamptz '0001-01-01 00:00:00+00' or p_value >= timestamptz '10000-01-01 00:00:00+00' then
        raise exception '% must be a time in the years 1 to 9999', p_name using errcode = '22023';
    end if;
end
$$;

comment on function private.check_time(text, timestamptz) is
    'Raises 22023 naming the parameter when its value is infinite or outside the years 1 to 9999 (UTC); null passes.';

create function private.check_number(p_name text, p_value numeric, p_min numeric, p_max numeric)
returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
    -- 'NaN' and 'infinity' sort after every number, so the range refuses them too
    if p_value < p_min or p_value > p_max then
        raise exception '% must be between % and %', p_name, p_min, p_max using errcode = '22003';
    end if;
end
$$;

comment on function private.check_number(text, numeric, numeric, numeric) is
    'Raises 22003 naming the parameter when its value is NaN or outside the range, both ends included; null passes.';

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

-- How rooms forget: in batches, because a request to the service has seconds. What is left goes with the next call.

create function private.purge(p_table regclass, p_column text, p_age interval, p_condition text default 'true')
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_count int;
begin
    -- whoever holds a row is using it
    execute format(
        'delete from %1$s where ctid = any (array('
        'select t.ctid from %1$s as t where %2$s < $1 and (%3$s) limit 5000 for update skip locked))',
        p_table, p_column, p_condition
    )
    using private.clock() - p_age;
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function private.purge(regclass, text, interval, text) is
    'Deletes up to 5000 rows t of a table whose column is older than this age and that fulfil the condition. Column '
    'and condition are SQL of ours, never a caller''s. Returns how many rows went.';

-- Who is calling. Inside a SECURITY DEFINER function current_user is the owner, so only the token tells the caller.
--
-- Every policy, function and column default asks here and nowhere else. An anonymous sign-in has a token with an id,
-- but no rights: it counts as nobody, so that no policy needs a condition of its own against it. Policies write
-- `(select private.caller_id())`, which runs once for a statement and may drive an index.

create function private.caller_id()
returns uuid
-- plpgsql keeps its plan between statements; a function in sql with a search path is planned anew at every call.
language plpgsql
stable
parallel safe
set search_path = ''
as $$
declare
    v_claims constant jsonb := auth.jwt();
begin
    return case when v_claims ->> 'is_anonymous' is distinct from 'true' then (v_claims ->> 'sub')::uuid end;
end
$$;

comment on function private.caller_id() is
    'The signed-in person behind this request; null without a token and for anonymous sign-ins.';

create function private.require_caller()
returns uuid
language plpgsql
stable
set search_path = ''
as $$
declare
    v_caller constant uuid := private.caller_id();
begin
    if v_caller is null then
        raise exception 'sign in first' using errcode = '42501';
    end if;
    return v_caller;
end
$$;

comment on function private.require_caller() is
    'private.caller_id() for functions that clients call: raises 42501 where there is nobody.';

-- Trigger functions that several domains share. Triggers are named trg_<table>_<what> and fire in name order.
-- Those that read or write other tables are SECURITY DEFINER: as invoker they would see only what the caller's policies
-- show, and a row that exists would look missing.

create function public.set_updated_at()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at := now();
    return new;
end
$$;

comment on function public.set_updated_at() is
    'BEFORE UPDATE on every table that has updated_at: the database tells the time of a change, never the client.';

create function private.keep_columns()
returns trigger
language plpgsql
-- as the caller, whom it has to know; so it may not call other functions of private
set search_path = ''
as $$
declare
    v_old constant jsonb := to_jsonb(old);
    v_column text;
    v_sent jsonb;
begin
    -- the service and the database's own functions write what they need
    if current_user not in ('authenticated', 'app_admin') then
        return new;
    end if;
    for v_column, v_sent in
        select key, value from jsonb_each(to_jsonb(new))
        where key <> all (tg_argv) and value is distinct from v_old -> key
        order by key
    loop
        -- Sent back in good faith: the time of an earlier change, which a later trigger sets, and integers past 2^53,
        -- which JavaScript rounds.
        if v_column = 'updated_at' or jsonb_typeof(v_sent) = 'number' and jsonb_typeof(v_old -> v_column) = 'number'
            and abs((v_old ->> v_column)::numeric) > 9007199254740991
            and v_sent::double precision = (v_old -> v_column)::double precision
        then
            new := jsonb_populate_record(new, jsonb_build_object(v_column, v_old -> v_column));
        else
            raise exception 'column "%" of "%" cannot be changed', v_column, tg_table_name
                using errcode = '42501',
                hint = 'Leave it out or send its stored value. You may change: '
                    || array_to_string(tg_argv, ', ') || '.';
        end if;
    end loop;
    return new;
end
$$;

comment on function private.keep_columns() is
    'BEFORE UPDATE: private.keep_columns(column, ...) lists what clients may change. A change of any other column is '
    '42501 and names it; its stored value passes, so a whole row read before may be sent back; updated_at is ignored. '
    'It must fire before triggers that change the row. The table must not have generated columns: they are still null '
    'at that moment.';

create function private.keep_canvas_id()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_column constant text := tg_argv[0];
    v_number constant numeric := to_jsonb(new) ->> v_column;
begin
    if new.canvas_id is null
        or (tg_op = 'UPDATE' and v_number is distinct from (to_jsonb(old) ->> v_column)::numeric)
    then
        new.canvas_id := v_number::text;
        return new;
    end if;
    if new.canvas_id !~ '^(0|[1-9][0-9]{0,18})$' or new.canvas_id::numeric > 9223372036854775807 then
        raise exception 'canvas_id must be a whole number as text' using errcode = '23514';
    end if;
    if v_number is null
        or (v_number > 9007199254740991 and v_number::double precision = new.canvas_id::double precision)
    then
        -- the number is missing, or rounded by JavaScript: the text counts
        return jsonb_populate_record(new, jsonb_build_object(v_column, new.canvas_id));
    end if;
    if v_number <> new.canvas_id::numeric then
        raise exception 'canvas_id and % differ: send one of them', v_column using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.keep_canvas_id() is
    'BEFORE INSERT OR UPDATE: private.keep_canvas_id(column) keeps canvas_id equal to that number, as text that '
    'JavaScript does not round. A new row may name either; where both are sent and the number is the rounded text, '
    'the text counts.';

create function private.enforce_transition()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_column constant text := tg_argv[0];
    v_from text := '';
    v_to text;
begin
    if v_column = 'status' then
        -- the usual case, without turning the row into json
        v_to := new.status;
        if tg_op = 'UPDATE' then
            v_from := old.status;
        end if;
    else
        v_to := to_jsonb(new) ->> v_column;
        if tg_op = 'UPDATE' then
            v_from := to_jsonb(old) ->> v_column;
        end if;
    end if;
    if v_from is distinct from v_to and not coalesce((v_from || '>' || v_to) = any (tg_argv[1:]), false) then
        if tg_op = 'INSERT' then
            raise exception '% cannot begin with % %', tg_table_name, v_column, v_to using errcode = '23514';
        end if;
        raise exception '% cannot go from % % to %', tg_table_name, v_column, v_from, v_to using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.enforce_transition() is
    'BEFORE INSERT OR UPDATE OF a state column: private.enforce_transition(column, ''from>to'', ...); ''>x'' lists a '
    'state a row may be born in. Unchanged passes, anything else unlisted is 23514, for service_role too.';

create function private.check_profile_role()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_new constant jsonb := to_jsonb(new);
    v_old constant jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) else '{}' end;
    v_person text;
    v_role text;
begin
    for i in 0 .. tg_nargs - 2 by 2 loop
        v_person := v_new ->> tg_argv[i];
        -- a SET NULL from a departing tutor must not test again a student whose role has changed since
        if v_person is null or v_person is not distinct from v_old ->> tg_argv[i] then
            continue;
        end if;
        -- the lock makes a concurrent change of role wait for us, or us for it
        select role into v_role from public.profiles where user_id = v_person::uuid for share;
        -- without a profile the foreign key answers
        if found and v_role is distinct from tg_argv[i + 1] then
            raise exception '%.% must be a %', tg_table_name, tg_argv[i], tg_argv[i + 1] using errcode = '23514';
        end if;
    end loop;
    return null;
end
$$;

comment on function private.check_profile_role() is
    'AFTER INSERT OR UPDATE OF the named columns: private.check_profile_role(column, role, ...). Each changed, '
    'non-null column must name a person of that role, else 23514. A BEFORE trigger would answer ahead of row level '
    'security, and so tell strangers who is a tutor or a student.';

create function private.enqueue_storage_deletion()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_old constant jsonb := to_jsonb(old);
    v_new constant jsonb := case when tg_op = 'UPDATE' then to_jsonb(new) else '{}' end;
    v_key text;
begin
    foreach v_key in array tg_argv loop
        if v_old ->> v_key is not null and v_new ->> v_key is distinct from v_old ->> v_key then
            insert into private.storage_deletions (storage_key, reason)
            values (v_old ->> v_key, format('%s %s', tg_table_name, lower(tg_op)))
            on conflict do nothing;
        end if;
    end loop;
    return null;
end
$$;

comment on function private.enqueue_storage_deletion() is
    'AFTER DELETE, or UPDATE that clears a key: private.enqueue_storage_deletion(key column, ...) puts each stored '
    'file that lost its row into the outbox, because SQL cannot delete it.';

create function private.write_audit(
    p_action text,
    p_entity text,
    p_entity_id text,
    p_subject_user_id uuid,
    p_detail jsonb default '{}'
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    insert into private.audit_log (actor_id, actor_role, action, entity, entity_id, subject_user_id, detail)
    values (
        private.caller_id(),
        coalesce(nullif(auth.jwt() ->> 'role', ''), session_user),
        p_action, p_entity, p_entity_id, p_subject_user_id, p_detail
    );
end
$$;

comment on function private.write_audit(text, text, text, uuid, jsonb) is
    'One line of the audit log about the caller of this request. detail must hold no secret and no student''s text.';

create function private.audit()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_old constant jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) else '{}' end;
    v_new constant jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) else '{}' end;
    v_row constant jsonb := case when tg_op = 'DELETE' then v_old else v_new end;
    v_before jsonb;
    v_after jsonb;
begin
    select jsonb_object_agg(key, value) into v_before
    from jsonb_each(v_old) where key = any (tg_argv[2:]) and value is distinct from v_new -> key;
    select jsonb_object_agg(key, value) into v_after
    from jsonb_each(v_new) where key = any (tg_argv[2:]) and value is distinct from v_old -> key;
    if tg_op = 'UPDATE' and v_before is null and v_after is null then
        return null;
    end if;
    perform private.write_audit(
        lower(tg_op),
        tg_table_name,
        v_row ->> tg_argv[0],
        (v_row ->> tg_argv[1])::uuid,
        jsonb_strip_nulls(jsonb_build_object('before', v_before, 'after', v_after))
    );
    return null;
end
$$;

comment on function private.audit() is
    'AFTER INSERT, UPDATE or DELETE: private.audit(id column, subject column, recorded column, ...). Only the named '
    'columns are kept, and an update that changes none of them leaves no line.';

-- Functions and workers compare the database's schema with the one they were written for. The supabase CLI notes every
-- applied migration in supabase_migrations, which no API role can read. A database that was built without the CLI has
-- no such table, so the body looks for it first.

create function public.svc_schema_version()
returns text
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if to_regclass('supabase_migrations.schema_migrations') is null then
        return null;
    end if;
    return (select max(m.version) from supabase_migrations.schema_migrations as m);
end
$$;

comment on function public.svc_schema_version() is
    'The newest migration that this database has, or null when it was built without migrations.';

-- Makes a bare cluster look like the platform's: roles, schemas, default privileges, publication.
-- Runs as supabase_admin, the only superuser; everything of ours is later created by postgres, who is none.
-- The default privileges are the older, generous ones on purpose: our own migrations must close them, so that a new
-- table is shut on projects of any age.

do $$
begin
    if not exists (select from pg_roles where rolname = 'postgres') then
        create role postgres nosuperuser createdb createrole replication bypassrls login password 'postgres';
        create role anon nologin;
        create role authenticated nologin;
        create role service_role nologin bypassrls;
        create role authenticator login noinherit password 'postgres';
        create role supabase_auth_admin login noinherit createrole password 'postgres';
        create role supabase_storage_admin login noinherit createrole password 'postgres';
        grant anon, authenticated, service_role to authenticator;
        grant authenticator to supabase_storage_admin;
        grant anon, authenticated, service_role, authenticator, supabase_auth_admin, supabase_storage_admin
            to postgres with admin option;
        grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
        alter role anon set statement_timeout = '3s';
        alter role authenticated set statement_timeout = '8s';
        alter role authenticator set statement_timeout = '8s';
        alter role authenticator set lock_timeout = '8s';
        alter role supabase_auth_admin set search_path = 'auth';
        alter role supabase_auth_admin set idle_in_transaction_session_timeout = '60s';
        alter role supabase_storage_admin set search_path = 'storage';
        alter role postgres set search_path = '"$user"', 'public', 'extensions';
        -- nine advisor rules stay silent without it
        alter role postgres set pgrst.db_schemas = 'public';
        -- the platform lets postgres set every pgrst parameter; one is enough here
        grant set on parameter "pgrst.db_pre_request" to postgres;
        -- as on the platform, so that a backup can be loaded without firing triggers
        grant set on parameter session_replication_role to postgres;
        alter role supabase_admin set search_path = '"$user"', 'public', 'auth', 'extensions';
    end if;
end
$$;

do $$
begin
    execute format('alter database %I owner to postgres', current_database());
    execute format('grant create on database %I to supabase_auth_admin, supabase_storage_admin', current_database());
end
$$;

alter schema public owner to postgres;
grant usage on schema public to anon, authenticated, service_role;

create schema extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role;
create extension vector with schema extensions;

create schema auth authorization supabase_auth_admin;
grant usage on schema auth to anon, authenticated, service_role, postgres;

-- as the platform's image prepares it; Storage makes its tables as supabase_storage_admin
create schema storage authorization supabase_admin;
grant usage on schema storage to anon, authenticated, service_role, postgres;
grant usage, create on schema storage to supabase_storage_admin;

alter default privileges for role postgres in schema public
grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
grant all on sequences to anon, authenticated, service_role;

create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;

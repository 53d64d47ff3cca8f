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

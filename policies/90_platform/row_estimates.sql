-- Every table that clients may read refuses to be explained. This is the last file, so the loop finds all tables; the
-- migration of a later table creates the same policy by name, which a guard demands.

grant usage on schema hooks to anon, authenticated, app_admin, service_role;
grant execute on function hooks.before_request() to anon, authenticated, app_admin, service_role;
grant execute on function private.not_explained() to anon, authenticated;

do $$
declare
    v_table regclass;
begin
    for v_table in
        select oid from pg_catalog.pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
            and (has_table_privilege('anon', oid, 'select') or has_table_privilege('app_admin', oid, 'select'))
    loop
        execute format(
            'create policy select_not_explained on %s as restrictive for select to anon, authenticated '
            'using (private.not_explained())', v_table
        );
        execute format(
            'comment on policy select_not_explained on %s is %L', v_table,
            'Estimates of row counts depend on rows of others, so REST sessions get none.'
        );
    end loop;
end
$$;

-- a setting of the role, so that hosted projects and the native stack read the same
alter role authenticator set "pgrst.db_pre_request" = 'hooks.before_request';
notify pgrst, 'reload config';

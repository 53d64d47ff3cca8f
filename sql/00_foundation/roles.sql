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

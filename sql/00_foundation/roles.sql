-- The database role of staff. PostgREST switches to it when a token's `role` claim says app_admin, which only the access
-- token hook writes. It inherits authenticated, so an administrator keeps his own rows; what he sees beyond them is a
-- policy `to app_admin`, never an "or is admin" inside the policy of everybody (that would cost everybody the index).
-- Roles belong to the cluster, hence the guard.

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

-- The database roles of tutors of hundreds and of tutors of one subject, reached in the same way. They have the rights of
-- authenticated and not one more: only their plans differ (docs/decisions/0006-sets-of-thousands.md).
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'app_wide_tutor') then
        create role app_wide_tutor nologin;
        comment on role app_wide_tutor is 'Tutors of hundreds: reached through the role claim of an access token.';
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = 'app_subject_tutor') then
        create role app_subject_tutor nologin;
        comment on role app_subject_tutor is 'Tutors of one subject: reached through the role claim of an access token.';
    end if;
end
$$;

grant authenticated to app_wide_tutor, app_subject_tutor;
grant app_wide_tutor, app_subject_tutor to authenticator;
grant app_wide_tutor, app_subject_tutor to postgres;

-- Read with the reader's own rights.

revoke all on public.v_student_progress from public, anon, authenticated, app_admin, service_role;
grant select on public.v_student_progress to authenticated, service_role;

revoke all on public.v_override_analytics from public, anon, authenticated, app_admin, service_role;
grant select on public.v_override_analytics to authenticated, service_role;

revoke all on public.v_confidence_distribution from public, anon, authenticated, app_admin, service_role;
grant select on public.v_confidence_distribution to authenticated, service_role;

-- Read with the reader's own rights.

grant select on public.v_student_progress to authenticated, service_role;

grant select on public.v_override_analytics to authenticated, service_role;

grant select on public.v_confidence_distribution to authenticated, service_role;

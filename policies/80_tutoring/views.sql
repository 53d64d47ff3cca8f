-- Read with the reader's own rights.

grant select on public.v_student_progress to authenticated, service_role;
-- what the view computes; it asks only about goals that the reader sees
grant execute on function private.goal_streak(uuid, uuid) to authenticated, service_role;
grant execute on function private.goal_progress(uuid) to authenticated, service_role;

grant select on public.v_override_analytics to authenticated, service_role;

grant select on public.v_confidence_distribution to authenticated, service_role;

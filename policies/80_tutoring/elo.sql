-- Ratings move by the service alone; the helpers are called by definer functions.

revoke all on function private.elo_expected(int, int) from public, anon, authenticated, app_admin, service_role;

revoke all on function private.elo_moved(int, numeric) from public, anon, authenticated, app_admin, service_role;

revoke all on function private.check_score(numeric) from public, anon, authenticated, app_admin, service_role;

revoke all on function public.update_student_rating(uuid, uuid, int, numeric)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.update_student_rating(uuid, uuid, int, numeric) to service_role;

revoke all on function public.complete_practice_assignment(uuid, numeric)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.complete_practice_assignment(uuid, numeric) to service_role;

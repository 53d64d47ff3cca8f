-- Ratings move by the service alone; the helpers are called by definer functions.

grant execute on function public.update_student_rating(uuid, uuid, int, numeric) to service_role;

grant execute on function public.complete_practice_assignment(uuid, numeric) to service_role;

-- Everybody searches what they see; the service searches for one person.

grant execute on function public.search_material(text, uuid[], text[], int) to authenticated;
grant execute on function private.search_material(text, uuid[], text[], int) to authenticated;

grant execute on function public.svc_search_material(uuid, text, text, text, uuid[], text[], int) to service_role;

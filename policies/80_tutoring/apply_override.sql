-- Called by signed-in people; it checks by itself that the caller is the right tutor.

revoke all on function private.check_override_keys(jsonb, text[])
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.override_text(jsonb, text, int)
from public, anon, authenticated, app_admin, service_role;

revoke all on function private.apply_override(text, uuid, text, jsonb, text)
from public, anon, authenticated, app_admin, service_role;
grant execute on function private.apply_override(text, uuid, text, jsonb, text) to authenticated;

revoke all on function public.apply_override(text, uuid, text, jsonb, text)
from public, anon, authenticated, app_admin, service_role;
grant execute on function public.apply_override(text, uuid, text, jsonb, text) to authenticated;

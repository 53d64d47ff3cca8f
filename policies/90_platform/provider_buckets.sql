-- No API role reaches the table; claims and svc_pause_provider use it.

alter table private.provider_buckets enable row level security;
revoke all on private.provider_buckets from public, anon, authenticated, app_admin, service_role;

create policy nobody on private.provider_buckets for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.provider_buckets is 'Nobody reaches the buckets by the API.';

revoke all on function private.bucket_tokens(private.provider_buckets)
from public, anon, authenticated, app_admin, service_role;

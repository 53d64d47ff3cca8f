-- Written by the service, corrected by apply_override.

alter table public.summaries enable row level security;
revoke all on public.summaries from public, anon, authenticated, app_admin, service_role;

grant select on public.summaries to authenticated;
grant all on public.summaries to service_role;

create policy select_visible on public.summaries for select to authenticated
    using (
        student_id = any ((select private.visible_students())::uuid[])
        or uuid_send(student_id) || uuid_send(subject_id) = any ((select private.subject_tutoring_keys())::bytea[])
    );
comment on policy select_visible on public.summaries is
    'The student, his parents, and his tutor of the session''s subject.';

create policy select_admin on public.summaries for select to app_admin
    using (true);
comment on policy select_admin on public.summaries is 'Staff see every summary.';

revoke all on function private.copy_session_to_summary() from public, anon, authenticated, app_admin, service_role;

revoke all on function private.copy_subject_to_summaries() from public, anon, authenticated, app_admin, service_role;

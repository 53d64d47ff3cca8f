-- Read by everybody signed in, kept by staff.

alter table public.related_subjects enable row level security;

grant select on public.related_subjects to authenticated;
grant insert (subject_id, related_subject_id) on public.related_subjects to app_admin;
grant update (subject_id, related_subject_id) on public.related_subjects to app_admin;
grant delete on public.related_subjects to app_admin;
grant all on public.related_subjects to service_role;

create policy select_all on public.related_subjects for select to authenticated
    using ((select private.caller_id()) is not null);
comment on policy select_all on public.related_subjects is 'Links between subjects are no secret.';

create policy insert_admin on public.related_subjects for insert to app_admin
    with check ((select private.is_admin()));
comment on policy insert_admin on public.related_subjects is 'Staff add links between subjects.';

create policy update_admin on public.related_subjects for update to app_admin
    using ((select private.is_admin()))
    with check ((select private.is_admin()));
comment on policy update_admin on public.related_subjects is 'Staff change links between subjects.';

create policy delete_admin on public.related_subjects for delete to app_admin
    using ((select private.is_admin()));
comment on policy delete_admin on public.related_subjects is 'Staff delete links between subjects.';

-- A thread belongs to one teacher, who does with it what he likes. Only the title is his to write.

alter table public.threads enable row level security;
revoke all on public.threads from public, anon, authenticated, app_admin, service_role;

grant select on public.threads to authenticated;
grant insert (title) on public.threads to authenticated;
grant update (title) on public.threads to authenticated;
grant delete on public.threads to authenticated;
grant all on public.threads to service_role;

create policy all_not_anonymous on public.threads as restrictive for all to authenticated
    using (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true')
    with check (((select auth.jwt()) ->> 'is_anonymous') is distinct from 'true');
comment on policy all_not_anonymous on public.threads is 'Anonymous sign-ins have no rights here.';

create policy select_own on public.threads for select to authenticated
    using (teacher_id = (select auth.uid()));
comment on policy select_own on public.threads is 'A teacher sees his own conversations.';

create policy insert_own on public.threads for insert to authenticated
    with check (teacher_id = (select auth.uid()));
comment on policy insert_own on public.threads is
    'A teacher opens a conversation for himself; the foreign key admits teachers only.';

create policy update_own on public.threads for update to authenticated
    using (teacher_id = (select auth.uid()))
    with check (teacher_id = (select auth.uid()));
comment on policy update_own on public.threads is 'A teacher may rename his conversation.';

create policy delete_own on public.threads for delete to authenticated
    using (teacher_id = (select auth.uid()));
comment on policy delete_own on public.threads is 'A teacher may delete his conversation, its messages with it.';

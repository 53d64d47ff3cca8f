-- Tutors read the answers, and the author of an item writes its answer. Students read an answer once they completed the
-- item.

alter table public.practice_bank_answers enable row level security;

grant select on public.practice_bank_answers to authenticated;
grant insert (item_id, answer_text, explanation, accepted_answers) on public.practice_bank_answers to authenticated;
grant update on public.practice_bank_answers to authenticated;
grant delete on public.practice_bank_answers to app_admin;
grant all on public.practice_bank_answers to service_role;

create policy select_reader on public.practice_bank_answers for select to authenticated
using (
    (
        (select private.is_tutor())
        -- the policy of the items says which
        and exists (select from public.practice_bank_items as i where i.id = item_id)
    )
    or item_id = any((select private.my_completed_items())::uuid[])
);
comment on policy select_reader on public.practice_bank_answers is
    'Tutors who see the item, and students who completed it.';

create policy all_admin_of_now on public.practice_bank_answers as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.practice_bank_answers is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.practice_bank_answers for select to app_admin
using (true);
comment on policy select_admin on public.practice_bank_answers is 'Staff see every answer.';

create policy insert_author on public.practice_bank_answers for insert to authenticated
with check (
    exists (
        select from public.practice_bank_items as i where i.id = item_id and i.created_by = (select private.caller_id())
    )
    and (select private.is_tutor())
);
comment on policy insert_author on public.practice_bank_answers is 'The author of the item, while they are a tutor.';

create policy insert_admin on public.practice_bank_answers for insert to app_admin
with check (true);
comment on policy insert_admin on public.practice_bank_answers is 'Staff add answers.';

create policy update_author on public.practice_bank_answers for update to authenticated
using (
    exists (
        select from public.practice_bank_items as i where i.id = item_id and i.created_by = (select private.caller_id())
    )
    and (select private.is_tutor())
)
with check (
    exists (
        select from public.practice_bank_items as i where i.id = item_id and i.created_by = (select private.caller_id())
    )
    and (select private.is_tutor())
);
comment on policy update_author on public.practice_bank_answers is 'The author of the item, while they are a tutor.';

create policy update_admin on public.practice_bank_answers for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.practice_bank_answers is 'Staff change answers.';

create policy delete_admin on public.practice_bank_answers for delete to app_admin
using (true);
comment on policy delete_admin on public.practice_bank_answers is 'Staff delete answers.';

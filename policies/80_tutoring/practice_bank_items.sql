-- Tutors read the bank and write their own items; students see what was assigned to them. Items made of one student's
-- material are seen by the tutors of that student alone. Rating and version are kept by the database.

alter table public.practice_bank_items enable row level security;

grant select on public.practice_bank_items to authenticated;
grant insert (
    id, question_text, subject_id, difficulty_level, goal_tags, topic_tags, answer_kind, choices, tolerance, language,
    is_active, elo_rating, created_by
) on public.practice_bank_items to authenticated;
grant update on public.practice_bank_items to authenticated;
grant delete on public.practice_bank_items to app_admin;
grant all on public.practice_bank_items to service_role;

create policy select_reader on public.practice_bank_items for select to authenticated
using (
    (
        (select private.is_tutor())
        and (
            student_id is null
            or student_id = any((select private.tutored_students())::uuid[])
            and (
                student_id not in (select private.partly_tutored_students())
                or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
            )
        )
    )
    or id = any((select private.my_practice_items())::uuid[])
);
comment on policy select_reader on public.practice_bank_items is
    'Tutors see the bank, without what is kept for students of others; students see the items assigned to them.';

create policy all_admin_of_now on public.practice_bank_items as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.practice_bank_items is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.practice_bank_items for select to app_admin
using (true);
comment on policy select_admin on public.practice_bank_items is 'Staff see the bank.';

create policy insert_tutor on public.practice_bank_items for insert to authenticated
with check (created_by = (select private.caller_id()) and (select private.is_tutor()));
comment on policy insert_tutor on public.practice_bank_items is 'Tutors add items under their name.';

create policy insert_admin on public.practice_bank_items for insert to app_admin
with check (true);
comment on policy insert_admin on public.practice_bank_items is 'Staff add items.';

create policy update_author on public.practice_bank_items for update to authenticated
using (
    created_by = (select private.caller_id())
    and (select private.is_tutor())
    and (
        student_id is null
        or student_id = any((select private.tutored_students())::uuid[])
        and (
            student_id not in (select private.partly_tutored_students())
            or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
        )
    )
)
with check (created_by = (select private.caller_id()) and (select private.is_tutor()));
comment on policy update_author on public.practice_bank_items is 'Authors change their items while they are tutors.';

create policy update_admin on public.practice_bank_items for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.practice_bank_items is 'Staff change items.';

create policy delete_admin on public.practice_bank_items for delete to app_admin
using (true);
comment on policy delete_admin on public.practice_bank_items is 'Staff delete items that were never assigned.';

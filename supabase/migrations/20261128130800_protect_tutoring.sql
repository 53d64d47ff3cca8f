-- Grants and row level security of the room 80_tutoring.
-- Touches: 80_tutoring. Undo: drop what it creates, newest first; nothing in it destroys data.

set lock_timeout = '5s';

-- Read by everybody signed in, kept by staff.

alter table public.subjects enable row level security;

grant select on public.subjects to authenticated;
grant insert (id, name, category, description) on public.subjects to app_admin;
grant update on public.subjects to app_admin;
grant delete on public.subjects to app_admin;
grant all on public.subjects to service_role;

create policy select_all on public.subjects for select to authenticated
using ((select private.caller_id()) is not null);
comment on policy select_all on public.subjects is 'Subjects are no secret.';

create policy all_admin_of_now on public.subjects as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.subjects is 'What follows for staff lasts while the profile says admin.';

create policy insert_admin on public.subjects for insert to app_admin
with check (true);
comment on policy insert_admin on public.subjects is 'Staff add subjects.';

create policy update_admin on public.subjects for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.subjects is 'Staff change subjects.';

create policy delete_admin on public.subjects for delete to app_admin
using (true);
comment on policy delete_admin on public.subjects is 'Staff delete subjects.';

-- Read by everybody signed in, kept by staff.

alter table public.related_subjects enable row level security;

grant select on public.related_subjects to authenticated;
grant insert (subject_id, related_subject_id) on public.related_subjects to app_admin;
grant update on public.related_subjects to app_admin;
grant delete on public.related_subjects to app_admin;
grant all on public.related_subjects to service_role;

create policy select_all on public.related_subjects for select to authenticated
using ((select private.caller_id()) is not null);
comment on policy select_all on public.related_subjects is 'Links between subjects are no secret.';

create policy all_admin_of_now on public.related_subjects as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.related_subjects is
    'What follows for staff lasts while the profile says admin.';

create policy insert_admin on public.related_subjects for insert to app_admin
with check (true);
comment on policy insert_admin on public.related_subjects is 'Staff add links between subjects.';

create policy update_admin on public.related_subjects for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.related_subjects is 'Staff change links between subjects.';

create policy delete_admin on public.related_subjects for delete to app_admin
using (true);
comment on policy delete_admin on public.related_subjects is 'Staff delete links between subjects.';

-- Students write their own list; parents and all their tutors see it. A line is added or deleted, never changed.

alter table public.student_subjects enable row level security;

grant select on public.student_subjects to authenticated;
grant insert (student_id, subject_id) on public.student_subjects to authenticated;
grant delete on public.student_subjects to authenticated;
grant all on public.student_subjects to service_role;

create policy select_related on public.student_subjects for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
);
comment on policy select_related on public.student_subjects is
    'The student, the student''s parents, and tutors of any subject.';

create policy all_admin_of_now on public.student_subjects as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.student_subjects is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.student_subjects for select to app_admin
using (true);
comment on policy select_admin on public.student_subjects is 'Staff see every list.';

create policy insert_own on public.student_subjects for insert to authenticated
with check (student_id = (select private.caller_id()));
comment on policy insert_own on public.student_subjects is 'Students add to their own list.';

create policy delete_own on public.student_subjects for delete to authenticated
using (student_id = (select private.caller_id()));
comment on policy delete_own on public.student_subjects is 'Students delete from their own list.';

-- Only staff write it, because every right of a tutor follows from it. Both sides see it, paused and past ones, too.

alter table public.tutor_student_assignments enable row level security;

grant select on public.tutor_student_assignments to authenticated;
grant insert (
    id, tutor_id, student_id, subject_id, assigned_at, status, start_date, end_date
) on public.tutor_student_assignments to app_admin;
grant update on public.tutor_student_assignments to app_admin;
grant delete on public.tutor_student_assignments to app_admin;
grant all on public.tutor_student_assignments to service_role;

create policy select_parties on public.tutor_student_assignments for select to authenticated
using (
    tutor_id = (select private.caller_id())
    or student_id = (select private.caller_id())
    or student_id = any((select private.guarded_students())::uuid[])
);
comment on policy select_parties on public.tutor_student_assignments is
    'The tutor, the student, and the parents of the student.';

create policy all_admin_of_now on public.tutor_student_assignments as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.tutor_student_assignments is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.tutor_student_assignments for select to app_admin
using (true);
comment on policy select_admin on public.tutor_student_assignments is 'Staff see every assignment.';

create policy insert_admin on public.tutor_student_assignments for insert to app_admin
with check (true);
comment on policy insert_admin on public.tutor_student_assignments is 'Staff add assignments.';

create policy update_admin on public.tutor_student_assignments for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.tutor_student_assignments is 'Staff change assignments.';

create policy delete_admin on public.tutor_student_assignments for delete to app_admin
using (true);
comment on policy delete_admin on public.tutor_student_assignments is 'Staff delete assignments.';

-- Run inside policies with the rights of the person who asks. Each answers about the caller alone.

grant execute on function private.is_tutor() to authenticated;
grant execute on function private.tutors(uuid, uuid) to authenticated;
grant execute on function private.tutored_students() to authenticated;
grant execute on function private.tutored_subjects() to authenticated;
grant execute on function private.partly_tutored_students() to authenticated;
grant execute on function private.own_and_tutored_students() to authenticated;
grant execute on function private.visible_students() to authenticated;

-- Students, and their tutors of the subject, set and change goals; parents read them. The service writes progress. A
-- student can cancel a tutor's goal, but not delete it.

alter table public.goals enable row level security;

grant select on public.goals to authenticated;
grant insert (
    id, created_by, student_id, subject_id, goal_type, title, description, target_completion_date
) on public.goals to authenticated;
grant update on public.goals to authenticated;
grant delete on public.goals to authenticated;
grant all on public.goals to service_role;

create policy select_visible on public.goals for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.goals is 'The student, the student''s parents, and tutors of the subject.';

create policy all_admin_of_now on public.goals as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.goals is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.goals for select to app_admin
using (true);
comment on policy select_admin on public.goals is 'Staff see every goal.';

create policy insert_shaper on public.goals for insert to authenticated
with check (
    created_by = (select private.caller_id())
    and (student_id = (select private.caller_id()) or private.tutors(student_id, subject_id))
);
comment on policy insert_shaper on public.goals is
    'Students for themselves, or their tutors of the subject; created_by says who.';

create policy update_shaper on public.goals for update to authenticated
using (
    student_id = (select private.caller_id())
    or (student_id = any((select private.tutored_students())::uuid[]) and private.tutors(student_id, subject_id))
)
with check (
    student_id = (select private.caller_id())
    or (student_id = any((select private.tutored_students())::uuid[]) and private.tutors(student_id, subject_id))
);
comment on policy update_shaper on public.goals is 'The student, or a tutor of the subject; parents only read.';

create policy delete_author on public.goals for delete to authenticated
using (student_id = (select private.caller_id()) and created_by = (select private.caller_id()));
comment on policy delete_author on public.goals is 'Students delete goals that they set themselves.';

create policy delete_admin on public.goals for delete to app_admin
using (true);
comment on policy delete_admin on public.goals is 'Staff delete goals.';

-- Tutors write their own sessions while they tutor the student; only the service deletes one.

alter table public.tutoring_sessions enable row level security;

grant select on public.tutoring_sessions to authenticated;
grant insert (
    id, student_id, tutor_id, session_date, duration_minutes, subject_id, topics_covered
) on public.tutoring_sessions to authenticated;
grant update on public.tutoring_sessions to authenticated;
grant all on public.tutoring_sessions to service_role;

create policy select_visible on public.tutoring_sessions for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.tutoring_sessions is
    'The student, the student''s parents, and tutors of the subject.';

create policy all_admin_of_now on public.tutoring_sessions as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.tutoring_sessions is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.tutoring_sessions for select to app_admin
using (true);
comment on policy select_admin on public.tutoring_sessions is 'Staff see every session.';

create policy insert_tutor on public.tutoring_sessions for insert to authenticated
with check (tutor_id = (select private.caller_id()) and private.tutors(student_id, subject_id));
comment on policy insert_tutor on public.tutoring_sessions is
    'Tutors plan or record their own sessions with their students.';

create policy update_tutor on public.tutoring_sessions for update to authenticated
using (tutor_id = (select private.caller_id()) and private.tutors(student_id, subject_id))
with check (tutor_id = (select private.caller_id()) and private.tutors(student_id, subject_id));
comment on policy update_tutor on public.tutoring_sessions is
    'Tutors change their own sessions while they tutor the student.';

-- No API role has rights on the table; the service reads and writes it through functions that audit.

alter table private.session_transcripts enable row level security;

create policy nobody on private.session_transcripts for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.session_transcripts is 'Closed on purpose: nobody uses transcripts over the API.';

grant execute on function public.svc_put_transcript(uuid, text, text) to service_role;

grant execute on function public.svc_get_transcript(uuid) to service_role;

-- No API role has rights on the table; the service acts for the author through functions that audit.

alter table private.tutor_notes enable row level security;

create policy nobody on private.tutor_notes for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.tutor_notes is 'Closed on purpose: nobody uses tutor notes over the API.';

grant execute on function public.svc_put_tutor_note(uuid, uuid, text, uuid, uuid, uuid) to service_role;

grant execute on function public.svc_list_tutor_notes(uuid, uuid) to service_role;

grant execute on function public.svc_delete_tutor_note(uuid, uuid) to service_role;

-- Written by the service, corrected by apply_override.

alter table public.summaries enable row level security;

grant select on public.summaries to authenticated;
grant all on public.summaries to service_role;

create policy select_visible on public.summaries for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.summaries is
    'The student, the student''s parents, and tutors of the session''s subject.';

create policy all_admin_of_now on public.summaries as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.summaries is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.summaries for select to app_admin
using (true);
comment on policy select_admin on public.summaries is 'Staff see every summary.';

-- Tutors read the whole bank and write their own items; students see what was assigned to them. Rating and version are
-- kept by the database.

alter table public.practice_bank_items enable row level security;

grant select on public.practice_bank_items to authenticated;
grant insert (
    id, question_text, subject_id, difficulty_level, goal_tags, topic_tags, is_active, elo_rating, created_by
) on public.practice_bank_items to authenticated;
grant update on public.practice_bank_items to authenticated;
grant delete on public.practice_bank_items to app_admin;
grant all on public.practice_bank_items to service_role;

create policy select_reader on public.practice_bank_items for select to authenticated
using (
    (select private.is_tutor())
    or id = any((select private.my_practice_items())::uuid[])
);
comment on policy select_reader on public.practice_bank_items is
    'Tutors see the bank; students see the items assigned to them.';

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
using (created_by = (select private.caller_id()) and (select private.is_tutor()))
with check (created_by = (select private.caller_id()) and (select private.is_tutor()));
comment on policy update_author on public.practice_bank_items is 'Authors change their items while they are tutors.';

create policy update_admin on public.practice_bank_items for update to app_admin
using (true)
with check (true);
comment on policy update_admin on public.practice_bank_items is 'Staff change items.';

create policy delete_admin on public.practice_bank_items for delete to app_admin
using (true);
comment on policy delete_admin on public.practice_bank_items is 'Staff delete items that were never assigned.';

-- Tutors read the answers, and the author of an item writes its answer. Students read an answer once they completed the
-- item.

alter table public.practice_bank_answers enable row level security;

grant select on public.practice_bank_answers to authenticated;
grant insert (item_id, answer_text, explanation) on public.practice_bank_answers to authenticated;
grant update on public.practice_bank_answers to authenticated;
grant delete on public.practice_bank_answers to app_admin;
grant all on public.practice_bank_answers to service_role;

create policy select_reader on public.practice_bank_answers for select to authenticated
using (
    (select private.is_tutor())
    or item_id = any((select private.my_completed_items())::uuid[])
);
comment on policy select_reader on public.practice_bank_answers is 'Tutors, and students who completed the item.';

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

-- Tutors assign items of the bank to their students and flag doubtful questions; the service writes scores and ratings.

alter table public.practice_assignments enable row level security;

grant select on public.practice_assignments to authenticated;
grant insert (id, student_id, bank_item_id, goal_tags) on public.practice_assignments to authenticated;
grant update on public.practice_assignments to authenticated;
grant all on public.practice_assignments to service_role;

create policy select_visible on public.practice_assignments for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.practice_assignments is
    'The student, the student''s parents, and tutors of the subject.';

create policy all_admin_of_now on public.practice_assignments as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.practice_assignments is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.practice_assignments for select to app_admin
using (true);
comment on policy select_admin on public.practice_assignments is 'Staff see every practice assignment.';

create policy insert_tutor on public.practice_assignments for insert to authenticated
with check (source = 'bank' and private.tutors(student_id, subject_id));
comment on policy insert_tutor on public.practice_assignments is
    'Tutors assign an item of the bank to their students; a trigger sets its subject before this check.';

create policy update_tutor on public.practice_assignments for update to authenticated
using (student_id = any((select private.tutored_students())::uuid[]) and private.tutors(student_id, subject_id))
with check (private.tutors(student_id, subject_id));
comment on policy update_tutor on public.practice_assignments is 'Tutors flag or clear questions of their students.';

-- Run inside policies, as the caller.

grant execute on function private.my_practice_items() to authenticated;

grant execute on function private.my_completed_items() to authenticated;

-- Students read it once they completed the question, their tutors at any time, parents never. The service and
-- apply_override write it.

alter table public.practice_assignment_answers enable row level security;

grant select on public.practice_assignment_answers to authenticated;
grant all on public.practice_assignment_answers to service_role;

create policy select_reader on public.practice_assignment_answers for select to authenticated
using (
    exists (
        select from public.practice_assignments as a
        where
            a.id = practice_assignment_id
            and (
                (a.student_id = (select private.caller_id()) and a.completed)
                or private.tutors(a.student_id, a.subject_id)
            )
    )
);
comment on policy select_reader on public.practice_assignment_answers is
    'The student who completed the question, and tutors of the subject.';

-- Written by update_student_rating only.

alter table public.student_ratings enable row level security;

grant select on public.student_ratings to authenticated;
grant all on public.student_ratings to service_role;

create policy select_visible on public.student_ratings for select to authenticated
using (
    student_id = any((select private.visible_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
    )
);
comment on policy select_visible on public.student_ratings is
    'The student, the student''s parents, and tutors of the subject.';

create policy all_admin_of_now on public.student_ratings as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.student_ratings is
    'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.student_ratings for select to app_admin
using (true);
comment on policy select_admin on public.student_ratings is 'Staff see every rating.';

-- The service writes it; apply_override corrects it. Parents and staff do not read what a student asks.

alter table public.qa_interactions enable row level security;

grant select on public.qa_interactions to authenticated;
grant all on public.qa_interactions to service_role;

create policy select_visible on public.qa_interactions for select to authenticated
using (
    student_id = any((select private.own_and_tutored_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or escalated_to_tutor_id = (select private.caller_id())
    )
);
comment on policy select_visible on public.qa_interactions is
    'The student, tutors of all subjects, and the tutor it was escalated to while tutoring the student.';

-- Written by apply_override only, never changed. The student sees the corrected row, not the correction.

alter table public.overrides enable row level security;

grant select on public.overrides to authenticated;
grant all on public.overrides to service_role;

create policy select_tutor on public.overrides for select to authenticated
using (
    student_id = any((select private.tutored_students())::uuid[])
    and (
        student_id not in (select private.partly_tutored_students())
        or (student_id, subject_id) in (select t.student_id, t.subject_id from private.tutored_subjects() as t)
        or tutor_id = (select private.caller_id())
    )
);
comment on policy select_tutor on public.overrides is
    'Tutors of the student in the subject, and the author while tutoring the student.';

create policy all_admin_of_now on public.overrides as restrictive for all to app_admin
using ((select private.is_admin()))
with check ((select private.is_admin()));
comment on policy all_admin_of_now on public.overrides is 'What follows for staff lasts while the profile says admin.';

create policy select_admin on public.overrides for select to app_admin
using (true);
comment on policy select_admin on public.overrides is 'Staff see every override.';

-- Ratings move by the service alone; the helpers are called by definer functions.

grant execute on function public.update_student_rating(uuid, uuid, int, numeric) to service_role;

grant execute on function public.complete_practice_assignment(uuid, numeric) to service_role;

-- Called by signed-in people; it checks by itself that the caller is the right tutor.

grant execute on function private.apply_override(text, uuid, text, jsonb, text) to authenticated;

grant execute on function public.apply_override(text, uuid, text, jsonb, text) to authenticated;

-- The job stats_refresh only.

grant execute on function public.refresh_user_stats(uuid) to service_role;

-- Read with the reader's own rights.

grant select on public.v_student_progress to authenticated, service_role;

grant select on public.v_override_analytics to authenticated, service_role;

grant select on public.v_confidence_distribution to authenticated, service_role;

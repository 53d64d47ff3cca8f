-- What a tutor corrected, before and after. Only apply_override writes it, in the same transaction as the correction.
-- Nobody changes or deletes it. It stays when the tutor's account or the corrected row is deleted.

create table public.overrides (
    id uuid primary key default gen_random_uuid(),
    tutor_id uuid,
    student_id uuid not null,
    override_type public.override_type not null,
    action text not null,
    summary_id uuid,
    practice_assignment_id uuid,
    qa_interaction_id uuid,
    original_content jsonb not null default '{}',
    new_content jsonb not null default '{}',
    reason text,
    subject_id uuid,
    difficulty_level int,
    created_at timestamptz not null default now(),

    constraint overrides_tutor_id_fkey foreign key (tutor_id) references public.profiles(user_id) on delete set null,
    constraint overrides_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint overrides_summary_id_fkey foreign key (summary_id) references public.summaries(id) on delete set null,
    constraint overrides_practice_assignment_id_fkey
        foreign key (practice_assignment_id) references public.practice_assignments(id) on delete set null,
    constraint overrides_qa_interaction_id_fkey
        foreign key (qa_interaction_id) references public.qa_interactions(id) on delete set null,
    constraint overrides_subject_id_fkey foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint overrides_target_check check (
        num_nonnulls(summary_id, practice_assignment_id, qa_interaction_id) <= 1
        and (summary_id is null or override_type = 'summary')
        and (practice_assignment_id is null or override_type = 'practice')
        and (qa_interaction_id is null or override_type = 'qa_answer')
    ),
    constraint overrides_action_check check (char_length(action) between 1 and 200),
    constraint overrides_original_content_check check (jsonb_typeof(original_content) = 'object'),
    constraint overrides_new_content_check check (jsonb_typeof(new_content) = 'object'),
    constraint overrides_reason_check check (char_length(reason) <= 5000),
    constraint overrides_difficulty_level_check check (difficulty_level between 1 and 10)
);

create index idx_overrides_tutor on public.overrides (tutor_id, student_id);
create index idx_overrides_student on public.overrides (student_id);
create index idx_overrides_type on public.overrides (override_type);
create index idx_overrides_created on public.overrides (created_at);
create index idx_overrides_subject on public.overrides (subject_id);
create index idx_overrides_summary on public.overrides (summary_id) where summary_id is not null;
create index idx_overrides_practice_assignment on public.overrides (practice_assignment_id)
where practice_assignment_id is not null;
create index idx_overrides_qa_interaction on public.overrides (qa_interaction_id) where qa_interaction_id is not null;

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.overrides alter column student_id set (n_distinct = -0.1);

comment on table public.overrides is 'Corrections by tutors of what the companion wrote.';
comment on column public.overrides.id is 'Identity of the row.';
comment on column public.overrides.tutor_id is 'Who corrected it; null when that account is deleted.';
comment on column public.overrides.student_id is 'Whose row was corrected.';
comment on column public.overrides.override_type is 'What kind of row.';
comment on column public.overrides.action is 'What the tutor did, in the tutor''s words.';
comment on column public.overrides.summary_id is
    'The corrected summary; null when it is deleted or the target is another.';
comment on column public.overrides.practice_assignment_id is
    'The corrected practice assignment; null when it is deleted or the target is another.';
comment on column public.overrides.qa_interaction_id is
    'The corrected answer; null when it is deleted or the target is another.';
comment on column public.overrides.original_content is 'The corrected keys as they were.';
comment on column public.overrides.new_content is 'The same keys as they are now.';
comment on column public.overrides.reason is 'Why.';
comment on column public.overrides.subject_id is 'The target''s subject, for analytics.';
comment on column public.overrides.difficulty_level is 'The target''s difficulty before, for analytics.';
comment on column public.overrides.created_at is 'When the row was written.';

-- an override and its target point at each other, so either can be deleted first
alter table public.summaries
add constraint summaries_override_id_fkey foreign key (override_id) references public.overrides(id) on delete set null;
alter table public.practice_assignments
add constraint practice_assignments_override_id_fkey
    foreign key (override_id) references public.overrides(id) on delete set null;
alter table public.qa_interactions
add constraint qa_interactions_override_id_fkey
    foreign key (override_id) references public.overrides(id) on delete set null;

create function private.check_override_target()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_student_id uuid;
begin
    if num_nonnulls(new.summary_id, new.practice_assignment_id, new.qa_interaction_id) <> 1 then
        raise exception 'exactly one of summary_id, practice_assignment_id and qa_interaction_id must be given'
            using errcode = '23514';
    end if;
    select student_id into v_student_id from public.summaries where id = new.summary_id
    union all
    select student_id from public.practice_assignments where id = new.practice_assignment_id
    union all
    select student_id from public.qa_interactions where id = new.qa_interaction_id;
    -- when the target does not exist, the foreign key raises the error
    if found and v_student_id <> new.student_id then
        raise exception 'the target belongs to another student' using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.check_override_target() is
    'BEFORE INSERT on overrides: requires exactly one target, of the same student (23514). A check constraint would '
    'forbid deleting the target later.';

create trigger trg_overrides_audit after insert or update or delete on public.overrides
for each row execute function private.audit(
    'id', 'student_id', 'tutor_id', 'override_type', 'action', 'summary_id', 'practice_assignment_id',
    'qa_interaction_id'
);
create trigger trg_overrides_target before insert on public.overrides
for each row execute function private.check_override_target();

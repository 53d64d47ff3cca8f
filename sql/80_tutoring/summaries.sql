-- What the companion wrote about a session, for student, parents and tutors. The job session_summary writes it; only
-- apply_override corrects it. A trigger copies tutor and subject from the session, so that the policy needs no join.

create table public.summaries (
    id uuid primary key default gen_random_uuid(),
    session_id uuid not null,
    student_id uuid not null,
    tutor_id uuid,
    subject_id uuid,
    narrative text not null,
    next_steps text[] not null default '{}',
    subjects_covered text[] not null default '{}',
    summary_type public.summary_type not null,
    overridden boolean not null default false,
    override_id uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint summaries_session_id_fkey
        foreign key (session_id, student_id) references public.tutoring_sessions(id, student_id) on delete cascade,
    constraint summaries_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint summaries_tutor_id_fkey foreign key (tutor_id) references public.profiles(user_id) on delete set null,
    constraint summaries_subject_id_fkey foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint summaries_session_id_key unique (session_id),
    constraint summaries_narrative_check check (char_length(narrative) between 1 and 50000),
    constraint summaries_override_id_check check (override_id is null or overridden)
);

create index idx_summaries_session on public.summaries (session_id, student_id);
create index idx_summaries_student on public.summaries (student_id, created_at desc) include (subject_id);
-- the newest of everybody, for staff
create index idx_summaries_created on public.summaries (created_at);
create index idx_summaries_tutor on public.summaries (tutor_id);
create index idx_summaries_subject on public.summaries (subject_id);
create index idx_summaries_override on public.summaries (override_id) where override_id is not null;

-- Finds a caller's rows by student, also where they are asked for by date
-- (docs/decisions/0013-one-list-of-students.md).
alter table public.summaries alter column student_id set (n_distinct = -0.1);

comment on table public.summaries is 'Summaries of tutoring sessions, one each.';
comment on column public.summaries.id is 'Identity of the row.';
comment on column public.summaries.session_id is 'The session.';
comment on column public.summaries.student_id is 'The session''s student.';
comment on column public.summaries.tutor_id is 'The session''s tutor; null when that account is deleted.';
comment on column public.summaries.subject_id is 'The session''s subject; copied and kept equal by trigger.';
comment on column public.summaries.narrative is 'The summary as prose.';
comment on column public.summaries.next_steps is 'What to do next, in order.';
comment on column public.summaries.subjects_covered is 'Names of the subjects it mentions.';
comment on column public.summaries.summary_type is 'What it was written from.';
comment on column public.summaries.overridden is 'Whether a tutor corrected it.';
comment on column public.summaries.override_id is 'The latest correction.';
comment on column public.summaries.created_at is 'When the row was written.';
comment on column public.summaries.updated_at is 'When the row last changed; kept by trigger.';

create function private.copy_session_to_summary()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_session record;
begin
    -- the lock puts this and a change of the session's subject one after the other
    select tutor_id, subject_id into v_session from public.tutoring_sessions where id = new.session_id for share;
    -- when there is no session, the foreign key raises the error
    if found then
        new.subject_id := v_session.subject_id;
        if tg_op = 'INSERT' then
            new.tutor_id := v_session.tutor_id;
        end if;
    end if;
    return new;
end
$$;

comment on function private.copy_session_to_summary() is
    'BEFORE INSERT, or UPDATE of session or subject, on summaries: copies the subject from the session, and on insert '
    'the tutor, too.';

create trigger trg_summaries_session before insert or update of session_id, subject_id on public.summaries
for each row execute function private.copy_session_to_summary();

create function private.copy_subject_to_summaries()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.summaries set subject_id = new.subject_id
    where session_id = new.id and subject_id is distinct from new.subject_id;
    return null;
end
$$;

comment on function private.copy_subject_to_summaries() is
    'AFTER a change of subject on tutoring_sessions: copies it to the session''s summaries.';

create trigger trg_tutoring_sessions_summaries after update of subject_id on public.tutoring_sessions
for each row when (old.subject_id is distinct from new.subject_id)
execute function private.copy_subject_to_summaries();
create trigger trg_summaries_updated_at before update on public.summaries
for each row execute function public.set_updated_at();

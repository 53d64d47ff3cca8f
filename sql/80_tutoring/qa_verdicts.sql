-- Whether an answer was right, as tutors say. ./scripts/calibrate-confidence reads it.

create table private.qa_verdicts (
    qa_id uuid not null,
    tutor_id uuid not null,
    is_correct boolean not null,
    seen_label boolean not null,
    created_at timestamptz not null default now(),

    constraint qa_verdicts_pkey primary key (qa_id, tutor_id),
    constraint qa_verdicts_qa_id_fkey
        foreign key (qa_id) references public.qa_interactions(id) on delete cascade,
    constraint qa_verdicts_tutor_id_fkey
        foreign key (tutor_id) references public.profiles(user_id) on delete cascade
);

create index idx_qa_verdicts_tutor_id on private.qa_verdicts (tutor_id);

comment on table private.qa_verdicts is 'Tutors'' verdicts on answers.';
comment on column private.qa_verdicts.qa_id is 'The question with its answer.';
comment on column private.qa_verdicts.tutor_id is 'Who judged it.';
comment on column private.qa_verdicts.is_correct is 'Whether the answer is right.';
comment on column private.qa_verdicts.seen_label is
    'Whether the tutor saw the companion''s confidence before. Who saw it judges less freely.';
comment on column private.qa_verdicts.created_at is 'When it was given, or last changed.';

create function private.rate_answer(p_qa_id uuid, p_is_correct boolean, p_seen_label boolean)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.require_caller();
    v_qa public.qa_interactions;
begin
    if num_nulls(p_qa_id, p_is_correct, p_seen_label) > 0 then
        raise exception 'p_qa_id, p_is_correct and p_seen_label must not be null' using errcode = '22004';
    end if;
    select * into v_qa from public.qa_interactions
    where id = p_qa_id
        and (
            private.tutors(student_id, null) or (escalated_to_tutor_id = v_me and private.tutors_any(student_id))
        )
    for key share;
    if not found then
        raise exception 'only an active tutor in all subjects, or the one it was handed to, may judge this'
            using errcode = '42501';
    end if;
    if v_qa.status <> 'complete' then
        raise exception 'this question has no whole answer to judge' using errcode = '23514';
    end if;
    insert into private.qa_verdicts as v (qa_id, tutor_id, is_correct, seen_label, created_at)
    values (p_qa_id, v_me, p_is_correct, p_seen_label, private.clock())
    on conflict (qa_id, tutor_id) do update set
        is_correct = excluded.is_correct,
        -- what was seen once stays seen
        seen_label = v.seen_label or excluded.seen_label,
        created_at = excluded.created_at;
end
$$;

comment on function private.rate_answer(uuid, boolean, boolean) is 'Behind public.rate_answer().';

create function public.rate_answer(p_qa_id uuid, p_is_correct boolean, p_seen_label boolean default true)
returns void
language sql
volatile
set search_path = ''
begin atomic
    select private.rate_answer(p_qa_id, p_is_correct, p_seen_label);
end;

comment on function public.rate_answer(uuid, boolean, boolean) is
    'A tutor who may see a question says whether its answer is right; again, to change that. p_seen_label tells '
    'whether they saw the companion''s confidence before. 42501 for any other question, existing or not; 23514 for '
    'one without a whole answer.';

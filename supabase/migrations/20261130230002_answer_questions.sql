-- Questions of students: how their answers are written, cited, judged, rated and handed to tutors.
-- Touches: public.job_type, public.notification_type, public.qa_interactions (columns), svc_sweep_generations; new:
--   private.confidence_calibrators, private.qa_verdicts, rate_answer, and the functions of questions in 80_tutoring.
-- Undo: drop the new functions, tables and columns, put the old svc_sweep_generations back; the enum values stay.

set lock_timeout = '5s';

alter type public.job_type add value 'question_answer';
alter type public.notification_type add value 'question_escalated';

alter table public.qa_interactions
add column status public.message_status not null default 'complete',
add column external_id text,
add column subject_id uuid,
add column assignment_id uuid,
add column catalog_course_ids uuid[] not null default '{}',
add column citations jsonb not null default '[]',
add column clarification_question text,
add column escalated_at timestamptz,
add column escalation_note text,
add column raw_score numeric(4, 3),
add column calibrator_version int,
add column finish_reason text,
add column error_code text,
add column model text,
add column prompt_version text,
add column metrics jsonb not null default '{}',
add column job_id uuid,
add constraint qa_interactions_student_id_external_id_key unique (student_id, external_id),
add constraint qa_interactions_job_id_fkey
    foreign key (job_id) references public.jobs(id) on delete set null,
add constraint qa_interactions_subject_id_fkey
    foreign key (subject_id) references public.subjects(id) on delete restrict,
add constraint qa_interactions_assignment_id_fkey
    foreign key (assignment_id) references public.assignments(id) on delete set null,
add constraint qa_interactions_external_id_check check (char_length(external_id) between 1 and 255),
add constraint qa_interactions_citations_check check (jsonb_typeof(citations) = 'array'),
add constraint qa_interactions_metrics_check check (jsonb_typeof(metrics) = 'object'),
add constraint qa_interactions_clarification_question_check check (char_length(clarification_question) <= 2000),
add constraint qa_interactions_escalation_note_check check (char_length(escalation_note) <= 2000),
add constraint qa_interactions_raw_score_check check (raw_score between 0 and 1);

create index idx_qa_interactions_subject_id on public.qa_interactions (subject_id) where subject_id is not null;
create index idx_qa_interactions_assignment_id on public.qa_interactions (assignment_id)
where assignment_id is not null;
create index idx_qa_interactions_job_id on public.qa_interactions (job_id);
create index idx_qa_interactions_streaming on public.qa_interactions (created_at) where status = 'streaming';

comment on column public.qa_interactions.confidence is
    'How likely the answer is right, from evidence and never from the model''s word; Low while it is being written.';
comment on column public.qa_interactions.confidence_score is
    'The same as a number: the calibrated chance that the answer is right, 0 to 1.';
comment on column public.qa_interactions.status is
    'streaming while the answer is written, then how it ended. answer is empty until then.';
comment on column public.qa_interactions.external_id is 'The caller''s own id: the same one never asks twice.';
comment on column public.qa_interactions.subject_id is 'The subject that the student named.';
comment on column public.qa_interactions.assignment_id is 'The assignment in Canvas that the student named.';
comment on column public.qa_interactions.catalog_course_ids is 'The courses whose material was searched; empty: all.';
comment on column public.qa_interactions.citations is
    'What the answer cites: [{n, kind, source_id, chunk_id, quote, page_start, start_second}]. n stands in the answer '
    'as [n]. Each quote stood in its fragment word for word.';
comment on column public.qa_interactions.clarification_question is 'What the companion asks back.';
comment on column public.qa_interactions.escalated_at is 'When it was escalated.';
comment on column public.qa_interactions.escalation_note is 'What the student wrote to the tutor.';
comment on column public.qa_interactions.raw_score is 'The score of the evidence before calibration, 0 to 1.';
comment on column public.qa_interactions.calibrator_version is
    'Which calibrator made confidence_score of raw_score; a newer one changes no row.';
comment on column public.qa_interactions.finish_reason is 'Why the model ended.';
comment on column public.qa_interactions.error_code is 'Why there is no whole answer; see docs/errors.md.';
comment on column public.qa_interactions.model is 'The model that wrote it.';
comment on column public.qa_interactions.prompt_version is 'The version of the prompt.';
comment on column public.qa_interactions.metrics is 'Calls, tokens, cost, times and the evidence of this answer.';
comment on column public.qa_interactions.job_id is 'The job that writes the answer.';

create table private.confidence_calibrators (
    version int generated always as identity primary key,
    subject_id uuid,
    features text not null,
    steps jsonb not null default '[]',
    answers int not null,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),

    constraint confidence_calibrators_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint confidence_calibrators_steps_check check (
        jsonb_typeof(steps) = 'array' and jsonb_array_length(steps) > 0
    ),
    constraint confidence_calibrators_features_check check (features ~ '^[a-z_]+/[0-9]+$'),
    constraint confidence_calibrators_answers_check check (answers >= 0)
);

-- one at work for each subject, and one for all others
create unique index uq_confidence_calibrators_active on private.confidence_calibrators (subject_id)
nulls not distinct where is_active;
create index idx_confidence_calibrators_subject_id on private.confidence_calibrators (subject_id)
where subject_id is not null;

comment on table private.confidence_calibrators is 'What a score of evidence is worth, by version.';
comment on column private.confidence_calibrators.version is 'Number of the version; answers keep it.';
comment on column private.confidence_calibrators.subject_id is
    'The subject it was made for; null for every subject that has none of its own.';
comment on column private.confidence_calibrators.features is
    'How the score is made that it reads. One made for other features is not used.';
comment on column private.confidence_calibrators.steps is
    'Steps [[score, chance]], both ascending: the last step at or below a score is its chance of a right answer.';
comment on column private.confidence_calibrators.answers is 'How many judged answers it was made of.';
comment on column private.confidence_calibrators.is_active is 'Whether new answers use it.';
comment on column private.confidence_calibrators.created_at is 'When it was made.';

-- made of the half of the labelled questions that is there for fitting; tests judge it with the other half
insert into private.confidence_calibrators (features, steps, answers) values
(
    'evidence/1',
    '[[0.0, 0.029], [0.137, 0.031], [0.304, 0.074], [0.489, 0.542], [0.757, 0.839], [1.0, 0.984]]',
    200
);

create function public.svc_get_calibrator(p_subject_id uuid, p_features text)
returns table (version int, steps jsonb)
language sql
stable
security definer
set search_path = ''
as $$
    select c.version, c.steps from private.confidence_calibrators as c
    where c.is_active and c.features = p_features and (c.subject_id = p_subject_id or c.subject_id is null)
    order by c.subject_id nulls last
    limit 1;
$$;

comment on function public.svc_get_calibrator(uuid, text) is
    'The calibrator at work for a subject, or the one for all subjects; none for features that nobody calibrated.';

alter table private.confidence_calibrators enable row level security;

create policy nobody on private.confidence_calibrators for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.confidence_calibrators is
    'Closed on purpose: only functions of the database use it.';

grant execute on function public.svc_get_calibrator(uuid, text) to service_role;

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

alter table private.qa_verdicts enable row level security;

create policy nobody on private.qa_verdicts for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.qa_verdicts is 'Closed on purpose: only functions of the database use it.';

grant execute on function private.rate_answer(uuid, boolean, boolean) to authenticated;

grant execute on function public.rate_answer(uuid, boolean, boolean) to authenticated;

create function public.svc_begin_question(
    p_student_id uuid,
    p_external_id text,
    p_question text,
    p_subject_id uuid default null,
    p_assignment_id uuid default null,
    p_catalog_course_ids uuid[] default '{}'
)
returns table (question_id uuid, outcome text, used bigint, max_used bigint, period_end timestamptz)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_courses constant uuid[] := array(select distinct id from unnest(p_catalog_course_ids) as id order by id);
    v_row public.qa_interactions;
    v_usage record;
    v_job uuid;
begin
    if num_nulls(p_student_id, p_external_id, p_question) > 0 then
        raise exception 'p_student_id, p_external_id and p_question must not be null' using errcode = '22004';
    end if;
    -- of many calls at once the first asks, and the others find its question
    perform pg_advisory_xact_lock(hashtextextended('question:' || p_student_id || ':' || p_external_id, 0));
    select * into v_row from public.qa_interactions where student_id = p_student_id and external_id = p_external_id;
    if found then
        if (v_row.query, v_row.subject_id, v_row.assignment_id, v_row.catalog_course_ids)
            is distinct from (p_question, p_subject_id, p_assignment_id, v_courses) then
            return query select v_row.id, 'conflict', null::bigint, null::bigint, null::timestamptz;
            return;
        end if;
        if v_row.status <> 'failed' then
            return query select v_row.id, 'existing', null::bigint, null::bigint, null::timestamptz;
            return;
        end if;
    end if;
    if p_subject_id is not null and not exists (select from public.subjects where id = p_subject_id) then
        return query select null::uuid, 'subject_not_found', null::bigint, null::bigint, null::timestamptz;
        return;
    end if;
    if p_assignment_id is not null and not exists (
        select from public.assignments where id = p_assignment_id and user_id = p_student_id
    ) then
        raise exception 'this student has no assignment with the id in p_assignment_id' using errcode = 'PT404';
    end if;
    select * into v_usage from public.svc_take_usage(p_student_id, 'questions', 1);
    if not v_usage.taken then
        return query select null::uuid, 'limit', v_usage.used, v_usage.max_used, v_usage.period_end;
        return;
    end if;
    if v_row.id is null then
        insert into public.qa_interactions (
            student_id, query, answer, confidence, status, external_id, subject_id, assignment_id, catalog_course_ids,
            disclaimer_shown, created_at
        )
        values (
            p_student_id, p_question, '', 'Low', 'streaming', p_external_id, p_subject_id, p_assignment_id, v_courses,
            false, private.clock()
        )
        returning * into v_row;
    else
        -- a new attempt: its stream begins anew, and nothing of the failed one stays
        perform pg_advisory_xact_lock(hashtextextended(v_row.id::text, 0));
        delete from private.generation_events where stream_id = v_row.id;
        update public.qa_interactions set
            status = 'streaming', answer = '', error_code = null, finish_reason = null
        where id = v_row.id;
    end if;
    perform public.svc_append_generation(
        v_row.id, 1, array[jsonb_build_object('type', 'start', 'messageId', v_row.id)]
    );
    -- the job is nobody's: an answer takes none of the person's slots, because workers keep a lane for answers
    select e.job_id into v_job from public.svc_enqueue_job(
        p_type => 'question_answer',
        p_payload => jsonb_build_object('question_id', v_row.id, 'period_start', v_usage.period_start)
    ) as e;
    update public.qa_interactions set job_id = v_job where id = v_row.id;
    return query select v_row.id, 'new', v_usage.used, v_usage.max_used, v_usage.period_end;
end
$$;

comment on function public.svc_begin_question(uuid, text, text, uuid, uuid, uuid[]) is
    'Stores a question, begins its answer''s stream, counts it (meter questions) and enqueues its job (type '
    'question_answer). outcome new; existing when it was asked before (after a failed answer it is new again); '
    'conflict when the external id has another question; limit when the quota is used up; subject_not_found. PT404 '
    'when the student has no such assignment. Of calls at once with the same external id, one is new.';

create function public.svc_load_question(p_question_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_row public.qa_interactions;
begin
    if p_question_id is null then
        raise exception 'p_question_id must not be null' using errcode = '22004';
    end if;
    select * into v_row from public.qa_interactions where id = p_question_id;
    if not found then
        raise exception 'no question has the id in p_question_id' using errcode = 'PT404';
    end if;
    return jsonb_build_object(
        'status', v_row.status,
        'seq', coalesce((select max(seq) from private.generation_events where stream_id = p_question_id), 0),
        'attempts', (
            select count(*) from private.generation_events
            where stream_id = p_question_id and part ->> 'type' = 'data-attempt'
        ),
        'text', private.stream_text(p_question_id),
        'user_id', v_row.student_id,
        'question', v_row.query,
        'subject_id', v_row.subject_id,
        'assignment_id', v_row.assignment_id,
        'catalog_course_ids', v_row.catalog_course_ids,
        'subjects', (
            select coalesce(jsonb_agg(s.name order by s.name), '[]') from public.subjects as s
            where s.id = v_row.subject_id
                or s.id in (select t.subject_id from public.student_subjects as t where t.student_id = v_row.student_id)
        ),
        'has_tutor', private.tutor_for_question(v_row.student_id, v_row.subject_id) is not null
    );
end
$$;

comment on function public.svc_load_question(uuid) is
    'What a worker needs to write an answer: its status, the number of its last event, how many calls of the model '
    'were made for it, the text so far, the question and what it is about, the names of the student''s subjects, and '
    'whether a tutor could be asked. PT404 when the question does not exist.';

create function public.svc_finish_question(
    p_question_id uuid,
    p_status text,
    p_content text,
    p_finish_reason text default null,
    p_citations jsonb default '[]',
    p_metrics jsonb default '{}',
    p_error_code text default null,
    p_error_message text default null,
    p_model text default null,
    p_prompt_version text default null,
    p_seq bigint default null,
    p_parts jsonb[] default '{}',
    p_verdict jsonb default '{}'
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row public.qa_interactions;
    v_given constant jsonb := coalesce(p_verdict, '{}');
begin
    if num_nulls(p_question_id, p_status, p_content) > 0 then
        raise exception 'p_question_id, p_status and p_content must not be null' using errcode = '22004';
    end if;
    if p_status not in ('complete', 'stopped', 'interrupted', 'failed') then
        raise exception 'p_status must be complete, stopped, interrupted or failed' using errcode = '22023';
    end if;
    perform pg_advisory_xact_lock(hashtextextended(p_question_id::text, 0));
    select * into v_row from public.qa_interactions where id = p_question_id for update;
    if not found then
        raise exception 'no question has the id in p_question_id' using errcode = 'PT404';
    end if;
    if v_row.status = 'stopped' and p_status = 'stopped' and v_row.metrics = '{}' then
        -- the reader stopped it; the worker adds what it cost
        update public.qa_interactions
        set metrics = coalesce(p_metrics, '{}'), model = p_model, prompt_version = p_prompt_version
        where id = p_question_id;
        return true;
    end if;
    -- a late writer, after the sweep, a stop or another worker, changes nothing
    if v_row.status <> 'streaming' or p_seq <> (
        select coalesce(max(seq), 0) from private.generation_events where stream_id = p_question_id
    ) then
        return false;
    end if;
    update public.qa_interactions set
        status = p_status::public.message_status,
        answer = p_content,
        finish_reason = p_finish_reason,
        citations = coalesce(p_citations, '[]'),
        metrics = coalesce(p_metrics, '{}'),
        error_code = p_error_code,
        model = p_model,
        prompt_version = p_prompt_version,
        confidence = coalesce((v_given ->> 'confidence')::public.qa_confidence, 'Low'),
        confidence_score = (v_given ->> 'confidence_score')::numeric,
        raw_score = (v_given ->> 'raw_score')::numeric,
        calibrator_version = (v_given ->> 'calibrator_version')::int,
        out_of_scope = coalesce((v_given ->> 'out_of_scope')::boolean, false),
        clarification_question = v_given ->> 'clarification_question',
        clarification_requested = v_given ->> 'clarification_question' is not null,
        tutor_escalation_suggested = coalesce((v_given ->> 'tutor_escalation_suggested')::boolean, false),
        context_subjects = array(select jsonb_array_elements_text(coalesce(v_given -> 'context_subjects', '[]'))),
        -- the notice is a part of every stream that ends with an answer
        disclaimer_shown = p_status = 'complete'
    where id = p_question_id;
    if p_status = 'complete' then
        update public.user_settings set disclaimer_shown = true
        where user_id = v_row.student_id and not disclaimer_shown;
    elsif p_status = 'failed' then
        perform public.svc_return_usage(
            v_row.student_id, 'questions', 1,
            (select (payload ->> 'period_start')::timestamptz from private.job_runtime where job_id = v_row.job_id)
        );
    end if;
    perform private.end_stream(
        p_question_id, coalesce(p_parts, '{}'),
        case p_status
            when 'complete' then jsonb_build_object(
                'type', 'finish', 'finishReason', case p_finish_reason
                    when 'length' then 'length' when 'content_filter' then 'content-filter' else 'stop'
                end
            )
            when 'stopped' then '{"type": "abort"}'
            else jsonb_build_object(
                'type', 'error', 'code', coalesce(p_error_code, p_status), 'errorText', coalesce(
                    p_error_message, 'The answer broke off before its end. Try again; what was written is kept.'
                )
            )
        end
    );
    return true;
end
$$;

comment on function public.svc_finish_question(
    uuid, text, text, text, jsonb, jsonb, text, text, text, text, bigint, jsonb[], jsonb
) is
    'Ends a streaming answer as complete, stopped, interrupted or failed, with its text, and ends its stream: '
    'p_parts, then finish, abort or error. p_verdict is {confidence, confidence_score, raw_score, calibrator_version, '
    'out_of_scope, clarification_question, tutor_escalation_suggested, context_subjects}. A failed answer gives its '
    'quota back. False, and nothing changes, when the answer has ended or p_seq is not its last event; a stopped '
    'answer still takes its worker''s metrics. PT404 when the question does not exist, 22023 for another status.';

create function private.close_question(p_question_id uuid, p_status text)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(p_question_id::text, 0));
    return public.svc_finish_question(
        p_question_id, p_status, left(private.stream_text(p_question_id), 100000),
        p_error_code => case p_status when 'interrupted' then 'interrupted' end
    );
end
$$;

comment on function private.close_question(uuid, text) is
    'Ends an answer without its worker, as stopped or interrupted, with the text so far. False when it has ended.';

create function public.svc_stop_question(p_question_id uuid, p_student_id uuid)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_status public.message_status;
begin
    if num_nulls(p_question_id, p_student_id) > 0 then
        raise exception 'p_question_id and p_student_id must not be null' using errcode = '22004';
    end if;
    select status into v_status from public.qa_interactions where id = p_question_id and student_id = p_student_id;
    if not found then
        raise exception 'this student has no question with the id in p_question_id' using errcode = 'PT404';
    end if;
    if v_status <> 'streaming' or not private.close_question(p_question_id, 'stopped') then
        return false;
    end if;
    begin
        perform private.end_live_job(q.job_id) from public.qa_interactions as q
        where q.id = p_question_id and q.job_id is not null;
    exception when sqlstate 'PT409' then
        -- the job ended by itself meanwhile
        null;
    end;
    return true;
end
$$;

comment on function public.svc_stop_question(uuid, uuid) is
    'Ends the answer to a question as stopped, with the text so far. Its job ends, too. False when it has ended. '
    'PT404 when the student has no such question.';

create function private.sweep_questions()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row record;
    v_count int := 0;
begin
    for v_row in
        select q.id from public.qa_interactions as q
        where q.status = 'streaming' and q.created_at < private.clock() - interval '1 minute'
            -- a part of the last minute shows that a worker is still writing
            and not exists (
                select from private.generation_events as e
                where e.stream_id = q.id and e.at >= private.clock() - interval '1 minute'
            )
            and q.id::text <> all ((select private.live_job_keys('{question_answer}', 'question_id'))::text[])
        order by q.id
    loop
        v_count := v_count + private.close_question(v_row.id, 'interrupted')::int;
    end loop;
    return v_count;
end
$$;

comment on function private.sweep_questions() is
    'Ends answers to questions that no live job will finish, as interrupted with the text so far; how many.';

grant execute on function public.svc_begin_question(uuid, text, text, uuid, uuid, uuid[]) to service_role;

grant execute on function public.svc_load_question(uuid) to service_role;

grant execute on function public.svc_finish_question(
    uuid, text, text, text, jsonb, jsonb, text, text, text, text, bigint, jsonb[], jsonb
) to service_role;

grant execute on function public.svc_stop_question(uuid, uuid) to service_role;

create function public.svc_question_terms(
    p_user_id uuid, p_words text, p_chunk_ids uuid[], p_catalog_course_ids uuid[] default null
)
returns table (term text, fragments bigint, total bigint, chunk_ids uuid[])
language plpgsql
stable
security definer
set search_path = ''
-- as in private.find_chunks
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    v_scope record;
begin
    if num_nulls(p_user_id, p_words, p_chunk_ids) > 0 then
        raise exception 'p_user_id, p_words and p_chunk_ids must not be null' using errcode = '22004';
    end if;
    select * into v_scope from private.visible_sources(p_user_id, p_catalog_course_ids, null);
    return query
    with visible as not materialized (
        select id, language, search from private.source_chunks
        where document_id = any (v_scope.documents) and retired_at is null
        union all
        select id, language, search from private.source_chunks
        where lecture_id = any (v_scope.lectures) and retired_at is null
        union all
        select id, language, search from private.source_chunks
        where content_source_id = any (v_scope.content_sources) and retired_at is null
    ),
    scope as materialized (
        select v.language, count(*) as fragments from visible as v group by v.language
    ),
    terms as materialized (
        select s.language, t.term, t.lexeme
        from scope as s, lateral private.query_terms(left(p_words, 2000), private.search_config(s.language)) as t
        where t.term like 'word %'
    ),
    wanted as materialized (
        select t.language, array_agg(distinct t.lexeme) as lexemes from terms as t group by t.language
    ),
    hits as materialized (
        select
            v.id, v.language,
            unnest(tsvector_to_array(ts_filter(setweight(v.search, 'A', w.lexemes), '{a}'))) as lexeme
        from visible as v inner join wanted as w on w.language = v.language
        where tsvector_to_array(v.search) && w.lexemes
    )
    select
        t.term, count(distinct h.id), (select sum(s.fragments)::bigint from scope as s),
        coalesce(array_agg(distinct h.id) filter (where h.id = any (p_chunk_ids)), '{}')
    from terms as t
    left join hits as h on h.language = t.language and h.lexeme = t.lexeme
    group by t.term
    order by t.term;
end
$$;

comment on function public.svc_question_terms(uuid, text, uuid[], uuid[]) is
    'The words of a question, as the search counts them: in how many of the person''s fragments each stands, of how '
    'many (total), and in which of p_chunk_ids. No row for words that are no terms, and none without any fragment.';

create function public.svc_question_keys(p_student_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if p_student_id is null then
        raise exception 'p_student_id must not be null' using errcode = '22004';
    end if;
    return jsonb_build_object(
        'assignments', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'id', a.id, 'title', a.title, 'description_html', a.description_html,
                'rubric', a.raw_payload -> 'rubric', 'notes', n.notes
            ) order by a.due_at, a.id), '[]')
            from (
                select * from public.assignments
                where user_id = p_student_id and status = 'open'
                order by due_at desc nulls last, id
                limit 500
            ) as a
            left join private.assignment_notes as n on n.assignment_id = a.id
        ),
        'practice', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'question', coalesce(i.question_text, p.ai_question_text),
                'kind', p.answer_kind,
                'choices', p.choices,
                'language', i.language,
                'explanation', coalesce(b.explanation, k.ai_explanation),
                'answers', coalesce(array[b.answer_text] || b.accepted_answers, array[k.ai_answer_text])
            ) order by p.assigned_at, p.id), '[]')
            from public.practice_assignments as p
            left join public.practice_bank_items as i on i.id = p.bank_item_id
            left join public.practice_bank_answers as b on b.item_id = p.bank_item_id
            left join public.practice_assignment_answers as k on k.practice_assignment_id = p.id
            where p.student_id = p_student_id and not p.completed
                and coalesce(b.answer_text, k.ai_answer_text) is not null
        )
    );
end
$$;

comment on function public.svc_question_keys(uuid) is
    'What no answer to a student may contain: {assignments: [{id, title, description_html, rubric, notes}], practice: '
    '[{question, kind, choices, language, explanation, answers}]} of all that is open. Compare with it; never show it '
    'and never send it to a model.';

grant execute on function public.svc_question_terms(uuid, text, uuid[], uuid[]) to service_role;

grant execute on function public.svc_question_keys(uuid) to service_role;

create function private.tutor_for_question(p_student_id uuid, p_subject_id uuid)
returns uuid
language sql
stable
security definer
set search_path = ''
as $$
    select a.tutor_id from private.current_assignments as a
    where a.student_id = p_student_id and a.status = 'active'
        and (a.subject_id is null or a.subject_id = p_subject_id)
    order by a.subject_id is null, a.tutor_id
    limit 1;
$$;

comment on function private.tutor_for_question(uuid, uuid) is
    'Who is asked: an active tutor of the student in the subject, else one in all subjects; null when there is none.';

create function public.svc_escalate_question(p_question_id uuid, p_student_id uuid, p_note text default null)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row public.qa_interactions;
    v_tutor uuid;
begin
    if num_nulls(p_question_id, p_student_id) > 0 then
        raise exception 'p_question_id and p_student_id must not be null' using errcode = '22004';
    end if;
    if char_length(p_note) > 2000 then
        raise exception 'p_note must have at most 2000 characters' using errcode = '22023';
    end if;
    select * into v_row from public.qa_interactions
    where id = p_question_id and student_id = p_student_id for update;
    if not found then
        raise exception 'this student has no question with the id in p_question_id' using errcode = 'PT404';
    end if;
    if v_row.escalated_at is not null then
        return 'existing';
    end if;
    if v_row.status = 'streaming' then
        return 'streaming';
    end if;
    v_tutor := private.tutor_for_question(p_student_id, v_row.subject_id);
    if v_tutor is null then
        return 'no_tutor';
    end if;
    update public.qa_interactions
    set escalated_to_tutor_id = v_tutor, escalated_at = private.clock(), escalation_note = p_note
    where id = p_question_id;
    insert into public.notifications (user_id, type, status, title, body, payload, created_at)
    values (
        v_tutor, 'question_escalated', 'sent', 'A student asks for you',
        'A student would like you to look at a question and its answer.',
        jsonb_build_object('qa_interaction_id', p_question_id, 'student_id', p_student_id), private.clock()
    );
    return 'escalated';
end
$$;

comment on function public.svc_escalate_question(uuid, uuid, text) is
    'Hands a question to the tutor of its subject, else to one of all subjects, and notifies them once: escalated, '
    'existing when it was handed over before, streaming while its answer is written, no_tutor. PT404 when the student '
    'has no such question.';

grant execute on function public.svc_escalate_question(uuid, uuid, text) to service_role;

create or replace function public.svc_sweep_generations()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row record;
    v_count int := 0;
begin
    for v_row in
        select m.id from public.messages as m
        where m.status = 'streaming' and m.created_at < private.clock() - interval '1 minute'
            -- a part of the last minute shows that a worker is still writing
            and not exists (
                select from private.generation_events as e
                where e.stream_id = m.id and e.at >= private.clock() - interval '1 minute'
            )
            and m.id::text <> all ((select private.live_job_keys('{chat_answer}', 'message_id'))::text[])
        order by m.id
    loop
        v_count := v_count + private.close_answer(v_row.id, 'interrupted')::int;
    end loop;

    -- a failed or cancelled job is proof enough; where no job is found, an hour must have passed
    for v_row in
        select h.id from public.headstart_runs as h
        where h.status in ('queued', 'running')
            and h.id::text <> all ((select private.live_job_keys('{headstart}', 'run_id'))::text[])
            and (
                coalesce(h.started_at, h.created_at) < private.clock() - interval '1 hour'
                or exists (
                    select from public.jobs as j
                    join private.job_runtime as r on r.job_id = j.id
                    where j.user_id = h.user_id
                        and j.status in ('failed', 'cancelled')
                        and j.type = 'headstart'
                        and r.payload ->> 'run_id' = h.id::text
                )
            )
        for update of h skip locked
    loop
        perform public.svc_finish_headstart_run(
            v_row.id, 'failed', null, 'interrupted: the work stopped before it was done', '{}'
        );
        v_count := v_count + 1;
    end loop;
    return v_count + private.sweep_questions() + private.fail_stuck_rows();
end
$$;

comment on function public.svc_sweep_generations() is
    'Ends what no live job will finish: answers of the assistant and of the companion (interrupted, keeping the text '
    'so far), headstart runs, lectures, reviews and content sources (failed); returns how many. Called by workers '
    'every few seconds and by svc_purge_expired.';

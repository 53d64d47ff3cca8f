-- A model writes practice questions from a topic or from a student's own material, and tutors review them. An accepted
-- question becomes an item of the bank. One that is made of a student's material stays with that student.
-- Touches: practice_assignments, practice_assignment_answers, practice_bank_items (columns, policies), jobs (a type);
-- private.practice_generations and its functions, review_practice. Undo: drop what is new, put the old functions and
-- policies back; rows of practice_assignments that were accepted stay items of the bank.

set lock_timeout = '5s';

alter type public.job_type add value 'practice_generation';

alter table public.practice_assignments
    add column topic_tags text[] not null default '{}',
    add column tolerance numeric,
    add column language text,
    add column reviewed_at timestamptz,
    add column reviewed_by uuid,
    add constraint practice_assignments_reviewed_by_fkey
        foreign key (reviewed_by) references public.profiles(user_id) on delete set null,
    add constraint practice_assignments_tolerance_check check (
        tolerance is null or (answer_kind = 'numeric' and tolerance >= 0 and tolerance < 'infinity')
    ),
    add constraint practice_assignments_language_check check (language ~ '^[a-z]{2}$');

create index idx_practice_assignments_reviewed_by on public.practice_assignments (reviewed_by)
where reviewed_by is not null;

alter table public.practice_assignment_answers
    add column accepted_answers text[] not null default '{}',
    add column citations jsonb not null default '[]',
    add constraint practice_assignment_answers_accepted_answers_check check (
        cardinality(accepted_answers) <= 50 and array_position(accepted_answers, null) is null
    ),
    add constraint practice_assignment_answers_citations_check check (jsonb_typeof(citations) = 'array');

alter table public.practice_bank_items
    add column is_generated boolean not null default false,
    add column student_id uuid,
    add constraint practice_bank_items_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade;

create index idx_practice_bank_items_student_id on public.practice_bank_items (student_id)
where student_id is not null;

comment on column public.practice_assignments.topic_tags is
    'Topics of a question of the model; an item of the bank has its own.';
comment on column public.practice_assignments.tolerance is
    'How far a number may be from the right one; only for a numeric question of the model.';
comment on column public.practice_assignments.language is
    'Two letters, of a question of the model; decides whether 1,234 has thousands or decimals.';
comment on column public.practice_assignments.reviewed_at is
    'When a tutor accepted or refused a question of the model. An accepted one is an item of the bank since.';
comment on column public.practice_assignments.reviewed_by is 'The tutor who did; null when that account is deleted.';
comment on column public.practice_assignment_answers.accepted_answers is 'Other answers that are right, too.';
comment on column public.practice_assignment_answers.citations is
    'Where it stands in the material: [{kind, source_id, chunk_id, quote, page_start, start_second}]. It is here and '
    'not with the question, because the quote often is the answer.';
comment on column public.practice_bank_items.is_generated is
    'Whether a model wrote it and a tutor, its author, accepted it.';
comment on column public.practice_bank_items.student_id is
    'The only student who is asked it, because it is made of their own material; null for everybody.';
comment on column private.item_calibration.variance_initial is
    'What it began with: .5 for an item of staff or a tutor, 1 without an author or when a model wrote it.';

create function private.is_refused(p_practice public.practice_assignments)
returns boolean
language sql
immutable
set search_path = ''
as $$
    select p_practice.source = 'ai_generated' and p_practice.reviewed_at is not null;
$$;

comment on function private.is_refused(public.practice_assignments) is
    'Whether a tutor has refused this question of the model, so that it is not asked again.';

create table private.practice_generations (
    id uuid primary key default gen_random_uuid(),
    requested_by uuid not null,
    student_id uuid not null,
    subject_id uuid not null,
    topic_tags text[] not null default '{}',
    source_ids uuid[] not null default '{}',
    difficulty_level int,
    item_count int not null,
    instructions text,
    job_id uuid not null,
    period_start timestamptz not null,
    result jsonb,
    created_at timestamptz not null default now(),

    constraint practice_generations_requested_by_fkey
        foreign key (requested_by) references public.profiles(user_id) on delete cascade,
    constraint practice_generations_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint practice_generations_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete cascade,
    constraint practice_generations_job_id_key unique (job_id),
    constraint practice_generations_difficulty_level_check check (difficulty_level between 1 and 10),
    constraint practice_generations_item_count_check check (item_count between 1 and 10),
    constraint practice_generations_instructions_check check (char_length(instructions) between 1 and 2000),
    constraint practice_generations_result_check check (jsonb_typeof(result) = 'object')
);

create index idx_practice_generations_requested_by on private.practice_generations (requested_by);
create index idx_practice_generations_student_id on private.practice_generations (student_id);
create index idx_practice_generations_subject_id on private.practice_generations (subject_id);
-- for the sweep
create index idx_practice_generations_open on private.practice_generations (created_at) where result is null;

comment on table private.practice_generations is 'Requests for practice that a model writes.';
comment on column private.practice_generations.id is 'Identity of the row.';
comment on column private.practice_generations.requested_by is 'Who asked: the student, or a tutor of theirs.';
comment on column private.practice_generations.student_id is 'For whom.';
comment on column private.practice_generations.subject_id is 'In which subject.';
comment on column private.practice_generations.topic_tags is 'About which topics.';
comment on column private.practice_generations.source_ids is
    'Documents, lectures and teachers'' material that it is made of; all of them were visible to whoever asked.';
comment on column private.practice_generations.difficulty_level is 'The wished level, 1 to 10.';
comment on column private.practice_generations.item_count is 'How many questions were asked for, and counted.';
comment on column private.practice_generations.instructions is 'What else was asked for. Untrusted text.';
comment on column private.practice_generations.job_id is 'The job that writes them.';
comment on column private.practice_generations.period_start is 'The period in which they were counted.';
comment on column private.practice_generations.result is
    'What became of it, null until it ends: {status, stored, assignment_ids, dropped: {reason: count}}, or {status, '
    'error_code}.';
comment on column private.practice_generations.created_at is 'When the row was written.';

create function private.can_generate(p_requested_by uuid, p_student_id uuid, p_subject_id uuid)
returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select p_requested_by = p_student_id or exists (
        select from private.current_assignments as a
        where a.tutor_id = p_requested_by and a.status = 'active' and a.student_id = p_student_id
            and (a.subject_id is null or a.subject_id = p_subject_id)
    );
$$;

comment on function private.can_generate(uuid, uuid, uuid) is
    'Whether somebody may have practice written for a student now: for themselves, or as an active tutor of student '
    'and subject.';

create function private.check_generation(
    p_subject_id uuid,
    p_topic_tags text[],
    p_source_ids uuid[],
    p_difficulty_level int,
    p_count int,
    p_instructions text
)
returns void
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    perform private.check_number('p_count', p_count, 1, 10);
    perform private.check_number('p_difficulty_level', p_difficulty_level, 1, 10);
    if cardinality(p_topic_tags) > 20 or exists (
        select from unnest(p_topic_tags) as t where t is null or char_length(t) not between 1 and 200
    ) then
        raise exception 'p_topic_tags must have at most 20 texts of 1 to 200 characters' using errcode = '22023';
    end if;
    if cardinality(p_source_ids) > 20 or array_position(p_source_ids, null) is not null then
        raise exception 'p_source_ids must have at most 20 ids' using errcode = '22023';
    end if;
    if char_length(p_instructions) not between 1 and 2000 then
        raise exception 'p_instructions must have 1 to 2000 characters' using errcode = '22023';
    end if;
    if not exists (select from public.subjects where id = p_subject_id) then
        raise exception 'no subject has the id in p_subject_id' using errcode = 'PT404';
    end if;
end
$$;

comment on function private.check_generation(uuid, text[], uuid[], int, int, text) is
    'Refuses arguments that no practice can be written of: 22003, 22023, PT404 without the subject.';

create function public.svc_begin_practice_generation(
    p_requested_by uuid,
    p_student_id uuid,
    p_subject_id uuid,
    p_count int,
    p_topic_tags text[] default '{}',
    p_source_ids uuid[] default '{}',
    p_difficulty_level int default null,
    p_instructions text default null
)
returns table (job_id uuid, taken boolean, used bigint, max_used bigint, period_end timestamptz)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_id constant uuid := gen_random_uuid();
    v_scope record;
    v_usage record;
    v_job uuid;
begin
    if num_nulls(p_requested_by, p_student_id, p_subject_id, p_count) > 0 then
        raise exception 'p_requested_by, p_student_id, p_subject_id and p_count must not be null'
            using errcode = '22004';
    end if;
    perform private.check_generation(
        p_subject_id, p_topic_tags, p_source_ids, p_difficulty_level, p_count, p_instructions
    );
    if not private.can_generate(p_requested_by, p_student_id, p_subject_id) then
        raise exception 'no student of this person has the id in p_student_id' using errcode = 'PT404';
    end if;
    select * into v_scope from private.visible_sources(p_requested_by, null, null);
    if not coalesce(p_source_ids, '{}') <@ (v_scope.documents || v_scope.lectures || v_scope.content_sources) then
        raise exception 'p_source_ids must all be sources that this person may see' using errcode = 'PT404';
    end if;
    if exists (
        select from unnest(p_source_ids) as s (id) where not exists (
            select from private.source_chunks as c
            where c.retired_at is null and (c.document_id = s.id or c.lecture_id = s.id or c.content_source_id = s.id)
        )
    ) then
        raise exception 'a source in p_source_ids has no text yet' using errcode = 'PT409',
            hint = 'Wait until it is read, or leave it out.';
    end if;
    select * into v_usage from public.svc_take_usage(p_requested_by, 'practice_ai_items', p_count);
    if v_usage.taken then
        select e.job_id into v_job from public.svc_enqueue_job(
            p_type => 'practice_generation', p_payload => jsonb_build_object('practice_generation_id', v_id),
            p_user_id => p_requested_by, p_dedupe_key => 'practice_generation:' || v_id
        ) as e;
        insert into private.practice_generations (
            id, requested_by, student_id, subject_id, topic_tags, source_ids, difficulty_level, item_count,
            instructions, job_id, period_start
        )
        values (
            v_id, p_requested_by, p_student_id, p_subject_id, coalesce(p_topic_tags, '{}'),
            coalesce(p_source_ids, '{}'), p_difficulty_level, p_count, p_instructions, v_job, v_usage.period_start
        );
    end if;
    return query select v_job, v_usage.taken, v_usage.used, v_usage.max_used, v_usage.period_end;
end
$$;

comment on function public.svc_begin_practice_generation(uuid, uuid, uuid, int, text[], uuid[], int, text) is
    'Has a model write practice: counts p_count questions (meter practice_ai_items) and enqueues the job. taken '
    'false: the quota is used up, and nothing was begun. PT404 for a subject that is none, a student who is not '
    'theirs and sources that they may not see; PT409 while a source has no text.';

create function private.practice_fragments(p_generation private.practice_generations, p_limit int)
returns jsonb
language sql
stable
security definer
set search_path = ''
as $$
    with visible as (
        select v.documents || v.lectures || v.content_sources as ids
        from private.visible_sources(p_generation.requested_by, null, null) as v
    ),
    named as (
        -- what was visible when it was asked for may not be so now
        select s.id from unnest(p_generation.source_ids) as s (id), visible as v where s.id = any (v.ids)
    ),
    fragments as (
        select c.* from private.source_chunks as c inner join named as n on n.id = c.document_id
        where c.retired_at is null
        union all
        select c.* from private.source_chunks as c inner join named as n on n.id = c.lecture_id
        where c.retired_at is null
        union all
        select c.* from private.source_chunks as c inner join named as n on n.id = c.content_source_id
        where c.retired_at is null
    ),
    ranked as (
        select
            f.*,
            exists (
                select from unnest(p_generation.topic_tags) as t
                where f.search @@ plainto_tsquery(private.search_config(f.language), private.folded(t))
            ) as is_on_topic
        from fragments as f
    ),
    chosen as (
        select r.* from ranked as r
        where r.is_on_topic or not exists (select from ranked as x where x.is_on_topic)
        -- spread over all sources, the same for each attempt at one request, and others for the next request
        order by md5(p_generation.id::text || r.id::text) limit p_limit
    )
    select coalesce(jsonb_agg(jsonb_build_object(
        'chunk_id', c.id,
        'kind', case when c.document_id is not null then 'document' when c.lecture_id is not null then 'lecture'
            else 'content_source' end,
        'source_id', coalesce(c.document_id, c.lecture_id, c.content_source_id),
        'title', coalesce(d.filename, l.title, s.title, ''),
        'content', c.content,
        'language', c.language,
        'page_start', c.page_start,
        'start_second', c.start_second
    ) order by coalesce(c.document_id, c.lecture_id, c.content_source_id), c.ordinal), '[]')
    from chosen as c
    left join public.documents as d on d.id = c.document_id
    left join public.lectures as l on l.id = c.lecture_id
    left join public.content_sources as s on s.id = c.content_source_id;
$$;

comment on function private.practice_fragments(private.practice_generations, int) is
    'Fragments of the sources of a request that whoever asked may still see: those on its topics, where there are '
    'any, else of all.';

create function public.svc_load_practice_generation(p_id uuid, p_max_fragments int default 40)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_row private.practice_generations;
begin
    if num_nulls(p_id, p_max_fragments) > 0 then
        raise exception 'p_id and p_max_fragments must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_max_fragments', p_max_fragments, 1, 200);
    select * into v_row from private.practice_generations where id = p_id;
    if not found then
        return null;
    end if;
    return jsonb_build_object(
        'student_id', v_row.student_id,
        'subject', (select s.name from public.subjects as s where s.id = v_row.subject_id),
        'topic_tags', v_row.topic_tags,
        'difficulty_level', v_row.difficulty_level,
        'count', v_row.item_count,
        'instructions', v_row.instructions,
        'result', v_row.result,
        'is_allowed', private.can_generate(v_row.requested_by, v_row.student_id, v_row.subject_id),
        'has_sources', v_row.source_ids <> '{}',
        'fragments', private.practice_fragments(v_row, p_max_fragments),
        'open_questions', (
            select coalesce(jsonb_agg(coalesce(i.question_text, a.ai_question_text)), '[]')
            from public.practice_assignments as a
            left join public.practice_bank_items as i on i.id = a.bank_item_id
            where a.student_id = v_row.student_id and not a.completed and not private.is_refused(a)
        )
    );
end
$$;

comment on function public.svc_load_practice_generation(uuid, int) is
    'What practice is to be written of: {student_id, subject, topic_tags, difficulty_level, count, instructions, '
    'result, is_allowed, has_sources, fragments, open_questions}; null when it is gone. A result says that it has '
    'ended.';

create function private.end_practice_generation(p_row private.practice_generations, p_result jsonb, p_stored int)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- the texts were needed until now
    update private.practice_generations set result = p_result, instructions = null
    where id = p_row.id;
    if p_stored < p_row.item_count then
        perform public.svc_return_usage(
            p_row.requested_by, 'practice_ai_items', p_row.item_count - p_stored, p_row.period_start
        );
    end if;
    return p_result;
end
$$;

comment on function private.end_practice_generation(private.practice_generations, jsonb, int) is
    'Ends a request that is locked and has not ended, and gives back what was counted and not stored.';

create function private.store_practice_item(p_row private.practice_generations, p_item jsonb, p_place int)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_words constant text := lower(regexp_replace(btrim(p_item ->> 'question_text'), '\s+', ' ', 'g'));
    v_id uuid;
begin
    -- another request may have stored the same since this one was loaded
    if exists (
        select from public.practice_assignments as a
        left join public.practice_bank_items as i on i.id = a.bank_item_id
        where a.student_id = p_row.student_id and not a.completed and not private.is_refused(a)
            and lower(regexp_replace(btrim(coalesce(i.question_text, a.ai_question_text)), '\s+', ' ', 'g')) = v_words
    ) then
        return null;
    end if;
    insert into public.practice_assignments (
        student_id, source, ai_question_text, answer_kind, choices, tolerance, language, subject_id, difficulty_level,
        topic_tags, assigned_at
    )
    values (
        p_row.student_id, 'ai_generated', p_item ->> 'question_text',
        (p_item ->> 'answer_kind')::public.practice_answer_kind,
        nullif(private.texts_of(p_item -> 'choices'), '{}'), (p_item ->> 'tolerance')::numeric, p_item ->> 'language',
        p_row.subject_id, (p_item ->> 'difficulty_level')::int,
        private.texts_of(p_item -> 'topic_tags'),
        -- so that they keep their order
        private.clock() + p_place * interval '1 microsecond'
    )
    returning id into v_id;
    insert into public.practice_assignment_answers (
        practice_assignment_id, ai_answer_text, ai_explanation, accepted_answers, citations
    )
    values (
        v_id, p_item ->> 'answer_text', p_item ->> 'explanation',
        private.texts_of(p_item -> 'accepted_answers'), coalesce(p_item -> 'citations', '[]')
    );
    return v_id;
end
$$;

comment on function private.store_practice_item(private.practice_generations, jsonb, int) is
    'Stores one question with its key for a student whose row is locked; null when it is open already.';

create function public.svc_store_practice_items(p_id uuid, p_items jsonb, p_dropped jsonb default '{}')
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row private.practice_generations;
    v_ids uuid[] := '{}';
    v_item uuid;
    v_twice int := 0;
begin
    if num_nulls(p_id, p_items, p_dropped) > 0 then
        raise exception 'p_id, p_items and p_dropped must not be null' using errcode = '22004';
    end if;
    if jsonb_typeof(p_items) <> 'array' or jsonb_typeof(p_dropped) <> 'object' then
        raise exception 'p_items must be a list and p_dropped an object' using errcode = '22023';
    end if;
    select * into v_row from private.practice_generations where id = p_id;
    if not found then
        return null;
    end if;
    perform private.lock_student(v_row.student_id);
    select * into v_row from private.practice_generations where id = p_id for update;
    -- stored by an earlier attempt, or failed by the sweep
    if not found or v_row.result is not null then
        return v_row.result;
    end if;
    if not private.can_generate(v_row.requested_by, v_row.student_id, v_row.subject_id) then
        return private.end_practice_generation(v_row, '{"status": "failed", "error_code": "not_found"}', 0);
    end if;
    for i in 0 .. least(jsonb_array_length(p_items), v_row.item_count) - 1 loop
        v_item := private.store_practice_item(v_row, p_items -> i, i);
        v_ids := v_ids || v_item;
        v_twice := v_twice + (v_item is null)::int;
    end loop;
    v_ids := array_remove(v_ids, null);
    if v_twice > 0 then
        p_dropped := p_dropped
            || jsonb_build_object('duplicate', coalesce((p_dropped ->> 'duplicate')::int, 0) + v_twice);
    end if;
    if v_ids <> '{}' then
        perform private.ask_tutors_to_review(v_row, v_ids);
    end if;
    return private.end_practice_generation(v_row, jsonb_build_object(
        'status', 'stored', 'stored', cardinality(v_ids), 'assignment_ids', to_jsonb(v_ids), 'dropped', p_dropped
    ), cardinality(v_ids));
end
$$;

comment on function public.svc_store_practice_items(uuid, jsonb, jsonb) is
    'Stores the checked questions of a request, all at once, at most as many as were asked for, and ends it. Returns '
    'the result; the first one when it had ended, null when it is gone. What is not stored is given back.';

create function private.ask_tutors_to_review(p_row private.practice_generations, p_ids uuid[])
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    insert into public.notifications (user_id, type, status, title, body, payload, created_at)
    select distinct
        a.tutor_id, 'system'::public.notification_type, 'sent'::public.notification_status,
        'New practice waits for your review',
        'A model wrote practice questions for a student of yours. Accept or refuse each; until then none is rated.',
        jsonb_build_object('practice_assignment_ids', to_jsonb(p_ids), 'student_id', p_row.student_id),
        private.clock()
    from private.current_assignments as a
    where a.student_id = p_row.student_id and a.status = 'active'
        and (a.subject_id is null or a.subject_id = p_row.subject_id);
$$;

comment on function private.ask_tutors_to_review(private.practice_generations, uuid[]) is
    'Tells the tutors of student and subject that questions of a model wait for their review.';

create function public.svc_fail_practice_generation(p_id uuid, p_error_code text)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row private.practice_generations;
begin
    if num_nulls(p_id, p_error_code) > 0 then
        raise exception 'p_id and p_error_code must not be null' using errcode = '22004';
    end if;
    select * into v_row from private.practice_generations where id = p_id for update;
    if not found or v_row.result is not null then
        return v_row.result;
    end if;
    return private.end_practice_generation(
        v_row, jsonb_build_object('status', 'failed', 'error_code', p_error_code), 0
    );
end
$$;

comment on function public.svc_fail_practice_generation(uuid, text) is
    'Ends a request without questions and gives back what was counted. Returns the result; the first one when it had '
    'ended, null when it is gone.';

create function private.fail_stuck_practice()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row private.practice_generations;
    v_status text;
    v_count int := 0;
begin
    for v_row in
        select g.* from private.practice_generations as g
        inner join public.jobs as j on j.id = g.job_id
        where g.result is null and j.status in ('succeeded', 'failed', 'cancelled')
        for update of g skip locked
    loop
        select j.status into v_status from public.jobs as j where j.id = v_row.job_id;
        perform private.end_practice_generation(v_row, jsonb_build_object(
            'status', 'failed',
            'error_code', case v_status when 'cancelled' then 'cancelled' else 'interrupted' end
        ), 0);
        v_count := v_count + 1;
    end loop;
    return v_count;
end
$$;

comment on function private.fail_stuck_practice() is
    'Ends requests for practice that no job will write; returns how many.';

alter table private.practice_generations add constraint practice_generations_job_id_fkey
    foreign key (job_id) references public.jobs(id) on delete cascade;

create function private.accept_practice(p_practice public.practice_assignments, p_tutor_id uuid)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_key public.practice_assignment_answers;
    v_item public.practice_bank_items;
begin
    select * into v_key from public.practice_assignment_answers where practice_assignment_id = p_practice.id;
    insert into public.practice_bank_items (
        question_text, subject_id, difficulty_level, goal_tags, topic_tags, answer_kind, choices, tolerance, language,
        created_by, is_generated, student_id
    )
    values (
        p_practice.ai_question_text, p_practice.subject_id, p_practice.difficulty_level, p_practice.goal_tags,
        p_practice.topic_tags, p_practice.answer_kind, p_practice.choices, p_practice.tolerance,
        coalesce(p_practice.language, 'en'), p_tutor_id, true,
        -- what is made of a student's own material is asked nobody else
        case when v_key.citations <> '[]' then p_practice.student_id end
    )
    returning * into v_item;
    insert into public.practice_bank_answers (item_id, answer_text, explanation, accepted_answers)
    values (v_item.id, v_key.ai_answer_text, v_key.ai_explanation, v_key.accepted_answers);
    update public.practice_assignments set
        source = 'bank',
        bank_item_id = v_item.id,
        bank_item_version = v_item.version,
        ai_question_text = null,
        flagged = false,
        reviewed_at = private.clock(),
        reviewed_by = p_tutor_id
    where id = p_practice.id
    returning * into p_practice;
    -- an answer from before the review is the student's first to this item, and moved nothing; later ones repeat it
    update public.practice_attempts set bank_item_id = v_item.id, item_version = v_item.version
    where practice_assignment_id = p_practice.id;
    if p_practice.completed then
        perform private.ask_for_review(p_practice.id, p_practice.student_id);
    end if;
    return p_practice;
end
$$;

comment on function private.accept_practice(public.practice_assignments, uuid) is
    'Makes an item of the bank of a question that a model wrote, in the name of a tutor. The student''s row is '
    'locked, and the question has a subject, a level and a key.';

create function private.is_acceptable(p_practice public.practice_assignments)
returns boolean
language sql
stable
security definer
set search_path = ''
as $$
    select p_practice.source = 'ai_generated'
        and num_nulls(p_practice.subject_id, p_practice.difficulty_level) = 0
        and exists (
            select from public.practice_assignment_answers as k where k.practice_assignment_id = p_practice.id
        );
$$;

comment on function private.is_acceptable(public.practice_assignments) is
    'Whether a question of a model has what an item of the bank needs: subject, level and key.';

create function private.accept_corrected(p_student_id uuid, p_subject_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
    v_tutor uuid;
begin
    for v_practice in
        select * from public.practice_assignments as a
        where a.student_id = p_student_id and a.subject_id = p_subject_id and not a.completed
            and a.source = 'ai_generated' and a.override_id is not null and not a.flagged
            and a.review_state <> 'needs_review' and private.is_acceptable(a) and not private.has_waiting_answer(a.id)
        order by a.id for update
    loop
        select o.tutor_id into v_tutor from public.overrides as o where o.id = v_practice.override_id;
        perform private.accept_practice(v_practice, v_tutor);
    end loop;
end
$$;

comment on function private.accept_corrected(uuid, uuid) is
    'Accepts the questions of a model that a tutor has corrected: a correction is a review. It happens when they are '
    'asked, so that a tutor may correct more than once before.';

create function private.review_practice(p_assignment_id uuid, p_accept boolean, p_reason text)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
    v_override public.overrides;
    v_before jsonb;
begin
    v_override.tutor_id := private.require_caller();
    if num_nulls(p_assignment_id, p_accept) > 0 then
        raise exception 'p_assignment_id and p_accept are required' using errcode = '22004';
    end if;
    if char_length(p_reason) > 5000 then
        raise exception 'p_reason must have at most 5000 characters' using errcode = '22023';
    end if;
    select * into v_practice from public.practice_assignments
    where id = p_assignment_id and private.tutors(student_id, subject_id);
    if not found then
        raise exception 'only an active tutor of the student in this subject may review this' using errcode = '42501';
    end if;
    perform private.lock_student(v_practice.student_id);
    select * into v_practice from public.practice_assignments where id = p_assignment_id for update;
    if v_practice.source = 'bank' and (v_practice.reviewed_at is null or not p_accept) then
        raise exception 'this is an item of the bank: there is nothing left to review' using errcode = '23514',
            hint = 'Give the student another item by apply_override, or set is_active of the item to false.';
    end if;
    -- the same review again
    if v_practice.reviewed_at is not null and p_accept = (v_practice.source = 'bank') then
        return v_practice;
    end if;
    if private.has_waiting_answer(p_assignment_id) then
        raise exception 'an answer to this practice is being graded' using errcode = '23514',
            hint = 'Review it when it is graded.';
    end if;
    if p_accept and not private.is_acceptable(v_practice) then
        raise exception 'an accepted question needs a subject, a level and an answer' using errcode = '23514',
            hint = 'Add level and answer by apply_override first.';
    end if;

    v_before := jsonb_build_object('is_accepted', case when v_practice.reviewed_at is not null then false end);
    if p_accept then
        v_practice := private.accept_practice(v_practice, v_override.tutor_id);
    else
        update public.practice_assignments
        set flagged = true, reviewed_at = private.clock(), reviewed_by = v_override.tutor_id
        where id = p_assignment_id
        returning * into v_practice;
    end if;
    v_override.student_id := v_practice.student_id;
    v_override.override_type := 'practice';
    v_override.action := case when p_accept then 'accept' else 'refuse' end;
    v_override.practice_assignment_id := p_assignment_id;
    v_override.new_content := jsonb_build_object('is_accepted', p_accept);
    v_override.reason := p_reason;
    v_override.subject_id := v_practice.subject_id;
    v_override.difficulty_level := v_practice.difficulty_level;
    perform private.record_override(v_override, v_before);
    return v_practice;
end
$$;

comment on function private.review_practice(uuid, boolean, text) is 'Behind public.review_practice().';

create function public.review_practice(p_assignment_id uuid, p_accept boolean, p_reason text default null)
returns public.practice_assignments
language sql
volatile
set search_path = ''
begin atomic
    select private.review_practice(p_assignment_id, p_accept, p_reason);
end;

comment on function public.review_practice(uuid, boolean, text) is
    'Accepts or refuses a question that a model wrote, for active tutors of student and subject, and records it as an '
    'override. An accepted one becomes an item of the bank; a refused one is not asked again, and may be accepted '
    'later. The same review again changes nothing. 42501 for any other practice, existing or not; 23514 for an item '
    'of the bank, while an answer is being graded, and for a question without subject, level or answer.';

create or replace function private.refuse_inactive_item()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if exists (select from public.practice_bank_items where id = new.bank_item_id and not is_active) then
        raise exception 'the bank item is no longer active' using errcode = '23514',
            hint = 'Choose an active item of the bank.';
    end if;
    if exists (
        select from public.practice_bank_items where id = new.bank_item_id and student_id <> new.student_id
    ) then
        raise exception 'the bank item is kept for another student' using errcode = '23514',
            hint = 'Choose an item without student_id.';
    end if;
    return null;
end
$$;

comment on function private.refuse_inactive_item() is
    'AFTER INSERT on practice_assignments: 23514 for an inactive item, or one that is kept for another student. A '
    'BEFORE trigger would answer ahead of row level security, and so tell strangers which items are inactive.';

create or replace function private.calibrated_item(p_item public.practice_bank_items)
returns private.item_calibration
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row private.item_calibration;
    v_initial constant double precision := case
        when p_item.created_by is null or p_item.is_generated then 1.0 else 0.5
    end;
begin
    insert into private.item_calibration (item_id, item_version, b, b_initial, variance, variance_initial)
    select p_item.id, p_item.version, x.b, x.b, v_initial, v_initial
    from (select (p_item.elo_rating - 1000) / private.points_per_logit() as b) as x
    on conflict (item_id) do nothing;
    select * into v_row from private.item_calibration where item_id = p_item.id for update;
    if v_row.item_version <> p_item.version then
        -- an edited item is about as hard as it was, but that is a guess again
        update private.item_calibration
        set item_version = p_item.version, variance = greatest(variance, variance_initial), answers = 0
        where item_id = p_item.id
        returning * into v_row;
    end if;
    return v_row;
end
$$;

create or replace function private.practice_candidates(
    p_student_id uuid, p_subject_id uuid, p_topic_tags text[], p_theta double precision
)
returns table (item_id uuid, b double precision, success double precision)
language sql
stable
security definer
set search_path = ''
as $$
    select i.id, x.b, private.expected_success(p_theta, x.b, coalesce(1.0 / cardinality(i.choices), 0))
    from public.practice_bank_items as i
    left join private.item_calibration as c on c.item_id = i.id
    cross join lateral (select coalesce(c.b, (i.elo_rating - 1000) / private.points_per_logit()) as b) as x
    where i.subject_id = p_subject_id and i.is_active and i.student_id is null
        and (p_topic_tags is null or i.topic_tags && p_topic_tags)
        -- without a key nothing can be graded
        and exists (select from public.practice_bank_answers as k where k.item_id = i.id)
        and not exists (
            select from public.practice_assignments as a where a.student_id = p_student_id and a.bank_item_id = i.id
        );
$$;

comment on function private.practice_candidates(uuid, uuid, text[], double precision) is
    'Active items for everybody that the student never saw, with their difficulty and the student''s chance of '
    'success.';

create or replace function private.open_practice(p_student_id uuid, p_subject_id uuid, p_count int, p_topic_tags text[])
returns uuid[]
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.accept_corrected(p_student_id, p_subject_id);
    -- an item that was edited is asked as it is now
    update public.practice_assignments as a set
        bank_item_version = i.version,
        difficulty_level = i.difficulty_level,
        answer_kind = i.answer_kind,
        choices = i.choices
    from public.practice_bank_items as i
    where a.student_id = p_student_id and a.subject_id = p_subject_id and not a.completed
        and i.id = a.bank_item_id and i.version <> a.bank_item_version and a.review_state <> 'needs_review'
        and not private.has_waiting_answer(a.id);
    return array(
        select a.id
        from public.practice_assignments as a
        left join public.practice_bank_items as i on i.id = a.bank_item_id
        where a.student_id = p_student_id and a.subject_id = p_subject_id and not a.completed
            and a.review_state <> 'needs_review'
            and (p_topic_tags is null or coalesce(i.topic_tags, a.topic_tags) && p_topic_tags)
            and case a.source
                when 'bank' then i.is_active
                    and exists (select from public.practice_bank_answers as k where k.item_id = i.id)
                else not private.is_refused(a)
                    and exists (
                        select from public.practice_assignment_answers as k where k.practice_assignment_id = a.id
                    )
            end
            and not private.has_waiting_answer(a.id)
        order by a.is_review desc, a.assigned_at, a.id limit p_count
    );
end
$$;

create or replace function private.practice_result(p_practice public.practice_assignments, p_attempt public.practice_attempts)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_last public.practice_attempts;
    v_answer text;
    v_explanation text;
    v_citations jsonb;
begin
    -- the last correction, else the answer itself
    select * into v_last from public.practice_attempts
    where p_attempt.id in (id, corrects_id) order by seq desc limit 1;
    if p_practice.completed then
        select answer_text, explanation into v_answer, v_explanation
        from public.practice_bank_answers where item_id = p_practice.bank_item_id
        union all
        select ai_answer_text, ai_explanation
        from public.practice_assignment_answers
        where practice_assignment_id = p_practice.id and p_practice.bank_item_id is null;
        select citations into v_citations
        from public.practice_assignment_answers where practice_assignment_id = p_practice.id;
    end if;
    return jsonb_build_object(
        'assignment_id', p_practice.id,
        'needs_review', p_practice.review_state = 'needs_review',
        'score', p_practice.performance_score,
        'correct', case when v_last.corrects_id is null then v_last.raw_score else v_last.score end >= 0.6,
        'graded_by', v_last.graded_by,
        'feedback', coalesce(v_last.feedback, p_attempt.feedback),
        'answer_text', v_answer,
        'explanation', v_explanation,
        'citations', coalesce(v_citations, '[]'),
        'rating_before', p_practice.student_rating_before,
        'rating_after', p_practice.student_rating_after,
        'ability', 1000 + private.points_per_logit() * p_attempt.theta_after,
        'ability_sd', private.points_per_logit() * sqrt(p_attempt.variance_after),
        'calibrating', private.points_per_logit() * sqrt(p_attempt.variance_after) > 100,
        'xp', 0, 'streak', null, 'goal_progress', null, 'next_review_at', null
    ) || coalesce(p_attempt.outcome, '{}');
end
$$;

create or replace function private.known_answer(
    p_student_id uuid, p_assignment_id uuid, p_key text, p_answer text, out practice public.practice_assignments,
    out attempt public.practice_attempts
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_same boolean;
begin
    select * into attempt from public.practice_attempts
    where student_id = p_student_id and idempotency_key = p_key;
    v_same := case
        when found then
            (attempt.practice_assignment_id, attempt.answer) is not distinct from (p_assignment_id, p_answer)
        else (
            select (practice_assignment_id, answer) = (p_assignment_id, p_answer) from private.practice_submissions
            where student_id = p_student_id and idempotency_key = p_key
        )
    end;
    if not v_same then
        raise exception 'p_key was used for another answer' using errcode = 'PT422';
    end if;
    select * into practice from public.practice_assignments
    where id = p_assignment_id and student_id = p_student_id for update;
    if not found then
        raise exception 'this student has no practice with the id in p_assignment_id' using errcode = 'PT404';
    end if;
    if attempt.id is null and (practice.completed or practice.review_state = 'needs_review') then
        select * into attempt from public.practice_attempts
        where practice_assignment_id = p_assignment_id and corrects_id is null order by seq limit 1;
    end if;
    if attempt.id is null and not practice.completed and private.is_refused(practice) then
        raise exception 'a tutor has withdrawn this question' using errcode = 'PT409',
            hint = 'Ask for the next practice.';
    end if;
end
$$;

comment on function private.known_answer(uuid, uuid, text, text) is
    'Locks the assignment and finds the answer that was recorded for it or for the key. PT404 for practice of others, '
    'PT409 for a question that a tutor refused, PT422 for a key that another answer used.';

create or replace function private.complete_answer(
    p_practice public.practice_assignments, p_attempt public.practice_attempts, p_review jsonb, p_seen timestamptz
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_due timestamptz;
    v_outcome jsonb;
begin
    if p_attempt.score is null then
        update public.practice_assignments set review_state = 'needs_review' where id = p_practice.id
        returning * into p_practice;
        perform private.ask_tutors(p_practice);
    else
        p_practice := private.complete_practice(p_practice.id, p_attempt.score, p_attempt.is_rated);
        p_attempt.rating_after := p_practice.student_rating_after;
        perform private.store_ability(p_attempt);
    end if;
    insert into public.practice_attempts overriding user value select p_attempt.*
    returning * into p_attempt;
    if p_review is not null and p_practice.bank_item_id is not null and p_attempt.score is not null then
        v_due := private.put_review(
            p_attempt.student_id, p_practice.bank_item_id, p_review, p_seen, p_attempt.raw_score >= 0.6
        );
    elsif p_practice.reviewed_at is not null and p_practice.bank_item_id is not null
        and p_attempt.score is not null then
        -- a tutor took the question into the bank after the service had read it, so a job computes the review
        perform private.ask_for_review(p_practice.id, p_attempt.student_id);
    end if;
    v_outcome := private.reward_answer(p_practice, p_attempt)
        || jsonb_build_object('next_review_at', to_char(v_due at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
    update public.practice_attempts set outcome = v_outcome where id = p_attempt.id returning * into p_attempt;
    return private.practice_result(p_practice, p_attempt);
end
$$;

create or replace function public.svc_question_keys(p_student_id uuid)
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
            where p.student_id = p_student_id and not p.completed and not private.is_refused(p)
                and coalesce(b.answer_text, k.ai_answer_text) is not null
        )
    );
end
$$;

create or replace function private.override_bank_practice(p_practice public.practice_assignments, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_item public.practice_bank_items;
begin
    perform private.check_override_keys(p_override.new_content, '{bank_item_id}');
    begin
        -- the lock keeps the version true until the end of the transaction
        select * into v_item from public.practice_bank_items
        where id = private.override_text(p_override.new_content, 'bank_item_id', 36)::uuid for share;
    exception when invalid_text_representation then
        raise exception 'p_new_content.bank_item_id must be an id' using errcode = '22023';
    end;
    if v_item.id is null then
        raise exception 'p_new_content.bank_item_id names no item of the bank' using errcode = '22023';
    end if;
    if not v_item.is_active or v_item.subject_id is distinct from p_practice.subject_id
        or v_item.student_id <> p_practice.student_id then
        raise exception 'the item must be active, of the same subject, and not kept for another student'
            using errcode = '23514';
    end if;

    p_override := private.record_override(p_override, jsonb_build_object('bank_item_id', p_practice.bank_item_id));
    update public.practice_assignments set
        bank_item_id = v_item.id,
        bank_item_version = v_item.version,
        difficulty_level = v_item.difficulty_level,
        answer_kind = v_item.answer_kind,
        choices = v_item.choices,
        flagged = false,
        overridden = true,
        override_id = p_override.id
    where id = p_practice.id;
    return p_override;
end
$$;

create or replace function private.override_ai_practice(p_practice public.practice_assignments, p_override public.overrides)
returns public.overrides
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_new constant jsonb := p_override.new_content;
    v_answer public.practice_assignment_answers;
begin
    perform private.check_override_keys(
        v_new, '{ai_question_text,ai_answer_text,ai_explanation,difficulty_level}'
    );
    perform private.override_text(v_new, 'ai_question_text', 20000);
    perform private.override_text(v_new, 'ai_answer_text', 20000);
    -- null takes the explanation away
    if v_new -> 'ai_explanation' <> 'null' then
        perform private.override_text(v_new, 'ai_explanation', 20000);
    end if;
    if v_new ? 'difficulty_level'
        and v_new -> 'difficulty_level' not in ('1', '2', '3', '4', '5', '6', '7', '8', '9', '10')
    then
        raise exception 'p_new_content.difficulty_level must be a whole number from 1 to 10' using errcode = '22023';
    end if;
    select * into v_answer from public.practice_assignment_answers where practice_assignment_id = p_practice.id;
    if not found and v_new ? 'ai_explanation' and not v_new ? 'ai_answer_text' then
        raise exception 'there is no answer to explain yet: send p_new_content.ai_answer_text too'
            using errcode = '22023';
    end if;

    p_override := private.record_override(p_override, jsonb_build_object(
        'ai_question_text', p_practice.ai_question_text,
        'ai_answer_text', v_answer.ai_answer_text,
        'ai_explanation', v_answer.ai_explanation,
        'difficulty_level', p_practice.difficulty_level
    ));
    update public.practice_assignments set
        ai_question_text = coalesce(v_new ->> 'ai_question_text', ai_question_text),
        difficulty_level = coalesce((v_new ->> 'difficulty_level')::numeric::int, difficulty_level),
        flagged = false,
        -- one that was refused is asked again, as it is now
        reviewed_at = null,
        reviewed_by = null,
        overridden = true,
        override_id = p_override.id
    where id = p_practice.id;
    if v_new ?| '{ai_answer_text,ai_explanation}' then
        insert into public.practice_assignment_answers (practice_assignment_id, ai_answer_text, ai_explanation)
        values (
            p_practice.id,
            coalesce(v_new ->> 'ai_answer_text', v_answer.ai_answer_text),
            case when v_new ? 'ai_explanation' then v_new ->> 'ai_explanation' else v_answer.ai_explanation end
        )
        on conflict (practice_assignment_id) do update set
            ai_answer_text = excluded.ai_answer_text, ai_explanation = excluded.ai_explanation;
    end if;
    return p_override;
end
$$;

comment on function private.override_ai_practice(public.practice_assignments, public.overrides) is
    'Corrects question, answer, explanation or difficulty of a question that the model wrote. It is accepted by that, '
    'and becomes an item of the bank when it is next asked.';

create or replace function private.fail_stuck_rows()
returns int
language sql
volatile
security definer
set search_path = ''
as $$
    select private.fail_stuck(
        'public.lectures', 'downloading', 'interrupted: The work on this lecture stopped before it was done.',
        '{lecture_download, lecture_transcription, lecture_ingest}', 'lecture_id'
    ) + private.fail_stuck(
        'public.reviews', 'running', 'interrupted: The review stopped before it was done. Try it again.',
        '{code_review}', 'review_id'
    ) + private.fail_stuck(
        'public.content_sources', 'processing', 'interrupted: The material could not be read in time. Try again.',
        '{content_source}', 'content_source_id'
    ) + private.fail_stuck_content() + private.fail_stuck_documents() + private.fail_stuck_practice();
$$;

comment on function private.fail_stuck_rows() is
    'Fails lectures, reviews, content sources, content and practice to be written, and the reading of documents that '
    'no job will finish.';

drop policy select_reader on public.practice_bank_items;
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

drop policy update_author on public.practice_bank_items;
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

drop policy select_reader on public.practice_bank_answers;
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

alter table private.practice_generations enable row level security;

create policy nobody on private.practice_generations for all to anon, authenticated using (false) with check (false);
comment on policy nobody on private.practice_generations is
    'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_begin_practice_generation(
    uuid, uuid, uuid, int, text[], uuid[], int, text
) to service_role;

grant execute on function public.svc_load_practice_generation(uuid, int) to service_role;

grant execute on function public.svc_store_practice_items(uuid, jsonb, jsonb) to service_role;

grant execute on function public.svc_fail_practice_generation(uuid, text) to service_role;

grant execute on function private.review_practice(uuid, boolean, text) to authenticated;

grant execute on function public.review_practice(uuid, boolean, text) to authenticated;

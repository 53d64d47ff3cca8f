-- What a job is to write practice of: the topic, or the sources, of one request. The texts are here because a job's
-- payload holds ids only. A request ends once, with its result; it goes with its job or its student.

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

-- How generated content is asked for, written once by its job, and kept one: its parts (content) and its Markdown
-- (content_md) always say the same. The rule, for everybody who writes the row:
--
-- * Who changes content changes content_md with it: private.render_content makes it anew.
-- * Who changes content_md alone replaces content by {"markdown": <the text>}. Its parts are gone, because no reader
--   could tell them from other text.
-- * Who changes both must send the Markdown that the parts render to, else nothing is changed.

create function private.tg_generated_content__render()
returns trigger
language plpgsql
-- the caller has no right to the functions that render
security definer
set search_path = ''
as $$
declare
    v_before constant jsonb := case tg_op when 'UPDATE' then old.content else '{}' end;
    v_before_md constant text := case tg_op when 'UPDATE' then old.content_md end;
    v_rendered text;
begin
    if new.content is distinct from v_before then
        v_rendered := private.render_content(new.kind, new.content);
        if new.content_md is distinct from v_before_md and new.content_md is distinct from v_rendered then
            raise exception 'content and content_md say different things'
                using errcode = '23514', hint = 'Send one of them; the other follows.';
        end if;
        new.content_md := v_rendered;
    elsif new.content_md is distinct from v_before_md then
        if new.content_md is null then
            raise exception 'content_md must not be null once it is written' using errcode = '23514';
        end if;
        new.content := jsonb_build_object('markdown', new.content_md);
    end if;
    return new;
end
$$;

comment on function private.tg_generated_content__render() is
    'BEFORE INSERT OR UPDATE on generated_content: content_md follows content, and content follows content_md.';

create trigger trg_generated_content_render before insert or update of content, content_md on public.generated_content
for each row execute function private.tg_generated_content__render();

create function public.svc_begin_generated_content(
    p_teacher_id uuid,
    p_kind text,
    p_title text,
    p_instructions text,
    p_class_id uuid default null,
    p_content_source_ids uuid[] default '{}',
    p_thread_id uuid default null,
    p_has_title boolean default true
)
returns table (
    generated_content_id uuid, job_id uuid, taken boolean, used bigint, max_used bigint, period_end timestamptz
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_sources constant uuid[] := array(select distinct id from unnest(p_content_source_ids) as id order by id);
    v_usage record;
    v_id uuid;
    v_job uuid;
begin
    if num_nulls(p_teacher_id, p_kind, p_title, p_instructions) > 0 then
        raise exception 'p_teacher_id, p_kind, p_title and p_instructions must not be null' using errcode = '22004';
    end if;
    if p_kind <> all (enum_range(null::public.generated_content_kind)::text[]) then
        raise exception 'p_kind must be one of the kinds of generated content' using errcode = '22023';
    end if;
    if p_class_id is not null and not exists (
        select from public.classes where id = p_class_id and teacher_id = p_teacher_id
    ) then
        raise exception 'no class of this teacher has the id in p_class_id' using errcode = 'PT404';
    end if;
    if p_thread_id is not null and not exists (
        select from public.threads where id = p_thread_id and teacher_id = p_teacher_id
    ) then
        raise exception 'no thread of this teacher has the id in p_thread_id' using errcode = 'PT404';
    end if;
    if cardinality(v_sources) <> (
        select count(*) from public.content_sources where id = any (v_sources) and teacher_id = p_teacher_id
    ) then
        raise exception 'p_content_source_ids must all be content sources of this teacher' using errcode = 'PT404';
    end if;
    select * into v_usage from public.svc_take_usage(p_teacher_id, 'generated_content', 1);
    if v_usage.taken then
        insert into public.generated_content (
            teacher_id, class_id, content_source_id, thread_id, kind, title, instructions
        )
        values (
            p_teacher_id, p_class_id, case when cardinality(v_sources) = 1 then v_sources[1] end, p_thread_id,
            p_kind::public.generated_content_kind, p_title, p_instructions
        )
        returning id into v_id;
        select e.job_id into v_job from public.svc_enqueue_job(
            p_type => 'content_generation',
            p_payload => jsonb_build_object(
                'generated_content_id', v_id, 'content_source_ids', to_jsonb(v_sources), 'has_title', p_has_title,
                'period_start', v_usage.period_start
            ),
            p_user_id => p_teacher_id,
            p_dedupe_key => 'generated_content:' || v_id
        ) as e;
        update public.generated_content set job_id = v_job where id = v_id;
    end if;
    return query select v_id, v_job, v_usage.taken, v_usage.used, v_usage.max_used, v_usage.period_end;
end
$$;

comment on function public.svc_begin_generated_content(uuid, text, text, text, uuid, uuid[], uuid, boolean) is
    'Makes the empty row of content that is to be written, counts it (meter generated_content) and enqueues its job. '
    'taken false: the quota is used up, and nothing was made. p_has_title false: the job may replace p_title. PT404 '
    'when the teacher has no such class, thread or source.';

create function private.end_generated_content(p_id uuid, p_error_code text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row public.generated_content;
    v_period timestamptz;
begin
    update public.generated_content set error_code = p_error_code
    where id = p_id and content_md is null and error_code is null
    returning * into v_row;
    if not found then
        return false;
    end if;
    select (payload ->> 'period_start')::timestamptz into v_period from private.job_runtime where job_id = v_row.job_id;
    perform public.svc_return_usage(v_row.teacher_id, 'generated_content', 1, v_period);
    return true;
end
$$;

comment on function private.end_generated_content(uuid, text) is
    'Fails content that was not written, and gives back what was counted. false when it has ended.';

create function public.svc_finish_generated_content(
    p_id uuid,
    p_content jsonb,
    p_title text default null,
    p_citations jsonb default '[]',
    p_metrics jsonb default '{}',
    p_model text default null,
    p_prompt_version text default null,
    p_error_code text default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_id is null or num_nonnulls(p_content, p_error_code) <> 1 then
        raise exception 'p_id and one of p_content and p_error_code must not be null' using errcode = '22004';
    end if;
    perform from public.generated_content where id = p_id for update;
    if p_error_code is not null then
        update public.generated_content
        set metrics = coalesce(p_metrics, '{}'), model = p_model, prompt_version = p_prompt_version
        where id = p_id and content_md is null and error_code is null;
        return private.end_generated_content(p_id, p_error_code);
    end if;
    update public.generated_content set
        content = p_content,
        title = coalesce(p_title, title),
        citations = coalesce(p_citations, '[]'),
        metrics = coalesce(p_metrics, '{}'),
        model = p_model,
        prompt_version = p_prompt_version
    where id = p_id and content_md is null and error_code is null;
    return found;
end
$$;

comment on function public.svc_finish_generated_content(uuid, jsonb, text, jsonb, jsonb, text, text, text) is
    'Writes content, or fails it with p_error_code and gives back what was counted. Content ends once: false when it '
    'was written, edited or failed before, or is gone. 22023 when the parts do not have the shape of their kind.';

create function public.svc_render_content(p_id uuid, p_teacher_id uuid, p_has_answers boolean)
returns text
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_row public.generated_content;
begin
    select * into v_row from public.generated_content where id = p_id and teacher_id = p_teacher_id;
    if not found or v_row.content_md is null then
        raise exception 'no written content of this teacher has the id in p_id' using errcode = 'PT404';
    end if;
    return private.render_content(v_row.kind, v_row.content, p_has_answers);
end
$$;

comment on function public.svc_render_content(uuid, uuid, boolean) is
    'A teacher''s content as Markdown, with or without the answers of quizzes and worksheets. PT404 when there is '
    'none.';

create function private.fail_stuck_content()
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
        select g.id, j.status
        from public.generated_content as g
        left join public.jobs as j on j.id = g.job_id
        where g.content_md is null and g.error_code is null
            and (
                j.status in ('failed', 'cancelled')
                or j.status is distinct from 'queued' and j.status is distinct from 'running'
                and g.created_at < private.clock() - interval '1 hour'
            )
        for update of g skip locked
    loop
        v_count := v_count + private.end_generated_content(
            v_row.id, case when v_row.status = 'cancelled' then 'cancelled' else 'interrupted' end
        )::int;
    end loop;
    return v_count;
end
$$;

comment on function private.fail_stuck_content() is 'Fails content that no job will write; returns how many.';

-- How notes and brand packages of a week are asked for, and how their jobs store them. Whoever writes locks the
-- person's profile, then the week: the order in which both are deleted.

create function private.lock_own_week(p_week_id uuid, p_user_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_status public.week_status;
begin
    if num_nulls(p_week_id, p_user_id) > 0 then
        raise exception 'p_week_id and p_user_id must not be null' using errcode = '22004';
    end if;
    v_status := private.lock_week(p_week_id, p_user_id);
    if v_status is null then
        raise exception 'the person has no week with the id in p_week_id' using errcode = 'PT404';
    end if;
    if v_status = 'archived' then
        raise exception 'the week is archived' using errcode = 'PT409';
    end if;
end
$$;

comment on function private.lock_own_week(uuid, uuid) is
    'Keeps a person''s week from being deleted or archived until the transaction ends. PT404 when it is missing or '
    'not theirs, PT409 when it is archived.';

create function public.svc_begin_week_notes(
    p_week_id uuid, p_user_id uuid, p_kinds text[], p_repository_url text default null
)
returns table (
    outcome text, job_id uuid, review_id uuid, used bigint, max_used bigint, period_end timestamptz
)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_kinds text[];
    v_refusal text;
begin
    if p_kinds is null then
        raise exception 'p_kinds must not be null' using errcode = '22004';
    end if;
    if p_kinds = '{}' or not p_kinds <@ '{clo, engineer}'::text[] then
        raise exception 'p_kinds must have clo, engineer or both' using errcode = '22023';
    end if;
    -- one job for each call: a transaction fills a person's slots once
    if p_repository_url is not null and p_kinds <> '{engineer}' then
        raise exception 'p_repository_url is for p_kinds engineer alone' using errcode = '22023';
    end if;
    perform private.lock_own_week(p_week_id, p_user_id);
    outcome := 'queued';
    if p_repository_url is not null then
        select r.id into review_id from public.reviews as r
        where r.week_id = p_week_id and r.github_url = p_repository_url and r.status in ('pending', 'running')
        order by r.created_at limit 1;
        if not found then
            begin
                -- its end writes the notes of the week
                insert into public.reviews (user_id, week_id, github_url)
                values (p_user_id, p_week_id, p_repository_url)
                returning id into review_id;
            exception when sqlstate 'PGRST' then
                -- the trigger that counts reviews allows no more
                get stacked diagnostics v_refusal = message_text;
                outcome := 'limit';
                used := (v_refusal::jsonb ->> 'details')::jsonb -> 'used';
                select t.max_used, t.period_end into max_used, period_end
                from private.usage_terms(p_user_id, 'code_reviews') as t;
                return next;
                return;
            end;
        end if;
        select j.id into job_id from public.jobs as j
        where j.dedupe_key = 'reviews:' || review_id and j.status in ('queued', 'running');
    elsif 'engineer' = any (p_kinds)
        and not exists (select from public.reviews where week_id = p_week_id and status = 'completed')
    then
        outcome := 'repository_needed';
    else
        v_kinds := array(select distinct kind from unnest(p_kinds) as kind order by kind);
        select e.job_id into job_id from public.svc_enqueue_job(
            p_type => 'week_notes', p_payload => jsonb_build_object('kinds', v_kinds), p_user_id => p_user_id,
            p_week_id => p_week_id, p_dedupe_key => format('week_notes:%s:%s', p_week_id, array_to_string(v_kinds, '+'))
        ) as e;
    end if;
    return next;
end
$$;

comment on function public.svc_begin_week_notes(uuid, uuid, text[], text) is
    'Asks for notes on a person''s week. With a repository, engineer notes are written at the end of a review, which '
    'is made, or joined when it is under way; job_id is the review''s. outcome repository_needed or limit: nothing '
    'was changed, because the week has no completed review, or the meter code_reviews is used up. PT404, PT409 as '
    'private.lock_own_week, 23514 for an address that is no repository.';

create function public.svc_begin_brand_package(p_week_id uuid, p_user_id uuid, p_mode text default null)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_job_id uuid;
    v_created boolean;
begin
    perform private.lock_own_week(p_week_id, p_user_id);
    select job_id, created into v_job_id, v_created from public.svc_enqueue_job(
        p_type => 'brand_package', p_user_id => p_user_id, p_week_id => p_week_id,
        p_dedupe_key => format('brand_package:%s:%s', p_week_id, md5(coalesce(p_mode, '')))
    );
    if v_created and p_mode is not null then
        insert into private.brand_wishes (job_id, mode) values (v_job_id, p_mode);
    end if;
    return v_job_id;
end
$$;

comment on function public.svc_begin_brand_package(uuid, uuid, text) is
    'Asks for a brand package of a person''s week and returns the job; a live one for the same mode is joined. PT404, '
    'PT409 as private.lock_own_week, 23514 for a mode of more than 200 characters.';

create function public.svc_get_brand_mode(p_job_id uuid)
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select mode from private.brand_wishes where job_id = p_job_id;
$$;

comment on function public.svc_get_brand_mode(uuid) is 'The kind of package that a job is to write; null for any.';

create function private.lock_week_of_job(p_job_id uuid, p_lease_token uuid)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_user_id uuid;
    v_week_id uuid;
    v_status public.week_status;
begin
    if num_nulls(p_job_id, p_lease_token) > 0 then
        raise exception 'p_job_id and p_lease_token must not be null' using errcode = '22004';
    end if;
    select user_id, week_id into v_user_id, v_week_id from public.jobs where id = p_job_id;
    v_status := private.lock_week(v_week_id, v_user_id);
    perform from public.jobs where id = p_job_id for key share;
    if found and exists (
        select from private.job_runtime
        where job_id = p_job_id and lease_token = p_lease_token and state = 'running'
    ) then
        if v_status = 'archived' then
            raise exception 'the week is archived' using errcode = 'PT409';
        end if;
        return v_week_id;
    end if;
    return null;
end
$$;

comment on function private.lock_week_of_job(uuid, uuid) is
    'The week of a job, kept from being deleted and archived, when the job''s lease is still held; null otherwise. '
    'PT409 when it is archived.';

create function public.svc_store_clo_note(
    p_job_id uuid, p_lease_token uuid, p_note jsonb, p_model text default null, p_prompt_version text default null
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_week_id constant uuid := private.lock_week_of_job(p_job_id, p_lease_token);
    v_note public.clo_notes := jsonb_populate_record(null::public.clo_notes, p_note);
    v_id uuid;
begin
    if p_note is null then
        raise exception 'p_note must not be null' using errcode = '22004';
    end if;
    if v_week_id is null then
        return null;
    end if;
    insert into public.clo_notes (
        week_id, module_title, learning_objectives, key_concepts, estimated_duration, prerequisites, resources,
        assessment_criteria, content, model, prompt_version, job_id
    )
    values (
        v_week_id, v_note.module_title, v_note.learning_objectives, v_note.key_concepts, v_note.estimated_duration,
        v_note.prerequisites, v_note.resources, v_note.assessment_criteria, v_note.content, p_model, p_prompt_version,
        p_job_id
    )
    on conflict (job_id) where job_id is not null do update set job_id = excluded.job_id
    returning id into v_id;
    return v_id;
end
$$;

comment on function public.svc_store_clo_note(uuid, uuid, jsonb, text, text) is
    'Stores the note that a job wrote about its week, with the columns of clo_notes by name, and returns its id. A '
    'second call of the job changes nothing. Null when the week is gone or the lease is lost, PT409 when it is '
    'archived.';

create function public.svc_store_brand_package(
    p_job_id uuid,
    p_lease_token uuid,
    p_package jsonb,
    p_model text default null,
    p_prompt_version text default null
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_week_id constant uuid := private.lock_week_of_job(p_job_id, p_lease_token);
    v_package public.brand_packages := jsonb_populate_record(null::public.brand_packages, p_package);
    v_id uuid;
begin
    if p_package is null then
        raise exception 'p_package must not be null' using errcode = '22004';
    end if;
    if v_week_id is null then
        return null;
    end if;
    insert into public.brand_packages (
        week_id, mode, content_themes, kpi_metrics, social_content_suggestions, brand_voice_analysis,
        engagement_strategies, assets, sources, model, prompt_version, job_id
    )
    values (
        v_week_id, (select mode from private.brand_wishes where job_id = p_job_id), v_package.content_themes,
        v_package.kpi_metrics, v_package.social_content_suggestions, v_package.brand_voice_analysis,
        v_package.engagement_strategies, v_package.assets, v_package.sources, p_model, p_prompt_version, p_job_id
    )
    on conflict (job_id) where job_id is not null do update set job_id = excluded.job_id
    returning id into v_id;
    return v_id;
end
$$;

comment on function public.svc_store_brand_package(uuid, uuid, jsonb, text, text) is
    'Stores the package that a job wrote about its week, with the columns of brand_packages by name, and returns its '
    'id. A second call of the job changes nothing. Null when the week is gone or the lease is lost, PT409 when it is '
    'archived.';

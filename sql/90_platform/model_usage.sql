-- What each call of a model used and cost. A row is written before the call is sent, with an estimate, and corrected
-- when the answer has ended. So the call of a killed worker stays on record, marked as estimated.

create table private.model_usage (
    id bigint generated always as identity,
    user_id uuid,
    job_id uuid,
    purpose text not null,
    model text not null,
    attempt int not null,
    prompt_tokens int not null default 0,
    completion_tokens int not null default 0,
    cached_tokens int not null default 0,
    audio_seconds numeric,
    cost_usd numeric,
    is_estimated boolean not null,
    at timestamptz not null default now(),

    constraint model_usage_pkey primary key (id),
    -- no foreign key to the job: its row is forgotten sooner
    constraint model_usage_job_id_purpose_attempt_key unique (job_id, purpose, attempt),
    constraint model_usage_user_id_fkey
        foreign key (user_id) references public.profiles(user_id) on delete set null,
    constraint model_usage_purpose_check check (purpose ~ '^[a-z][a-z0-9_]{0,49}$'),
    constraint model_usage_model_check check (char_length(model) between 1 and 200),
    constraint model_usage_attempt_check check (attempt >= 1),
    constraint model_usage_tokens_check
        check (prompt_tokens >= 0 and completion_tokens >= 0 and cached_tokens between 0 and prompt_tokens),
    constraint model_usage_audio_seconds_check check (audio_seconds >= 0 and audio_seconds < 'Infinity'),
    constraint model_usage_cost_usd_check check (cost_usd >= 0 and cost_usd < 'Infinity')
);

create index idx_model_usage_user_id on private.model_usage (user_id);
-- for retention
create index idx_model_usage_at on private.model_usage (at);

comment on table private.model_usage is 'One call of a model: what it used and cost.';
comment on column private.model_usage.id is 'Key.';
comment on column private.model_usage.user_id is 'For whom; null for work of nobody, and after their account is gone.';
comment on column private.model_usage.job_id is 'The job that called; null when a request did.';
comment on column private.model_usage.purpose is 'What for: headstart, chat_answer, embedding, transcription.';
comment on column private.model_usage.model is 'The model that was asked, as the settings name it.';
comment on column private.model_usage.attempt is 'Number of the call within its job and purpose.';
comment on column private.model_usage.prompt_tokens is 'Tokens sent, cached ones included.';
comment on column private.model_usage.completion_tokens is 'Tokens written, thoughts included.';
comment on column private.model_usage.cached_tokens is 'Those of the sent tokens that the provider had cached.';
comment on column private.model_usage.audio_seconds is 'Seconds of audio; null for text.';
comment on column private.model_usage.cost_usd is 'US dollars; null when the price is unknown.';
comment on column private.model_usage.is_estimated is
    'The provider did not report the usage: the call is under way, broke off, or its server reports none.';
comment on column private.model_usage.at is 'When the call was sent.';

create function public.svc_record_model_usage(
    p_job_id uuid,
    p_user_id uuid,
    p_purpose text,
    p_model text,
    p_usage_id bigint default null,
    p_prompt_tokens int default 0,
    p_completion_tokens int default 0,
    p_cached_tokens int default 0,
    p_audio_seconds numeric default null,
    p_cost_usd numeric default null,
    p_is_estimated boolean default false
)
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_id bigint;
begin
    if num_nulls(p_purpose, p_model, p_prompt_tokens, p_completion_tokens, p_cached_tokens, p_is_estimated) > 0 then
        raise exception 'p_purpose, p_model, the counts of tokens and p_is_estimated must not be null'
            using errcode = '22004';
    end if;
    perform private.check_number('p_audio_seconds', p_audio_seconds, 0, 1000000000);
    perform private.check_number('p_cost_usd', p_cost_usd, 0, 1000000000);
    if p_usage_id is not null then
        update private.model_usage
        set prompt_tokens = p_prompt_tokens, completion_tokens = p_completion_tokens, cached_tokens = p_cached_tokens,
            audio_seconds = p_audio_seconds, cost_usd = p_cost_usd, is_estimated = p_is_estimated
        where id = p_usage_id and job_id is not distinct from p_job_id and purpose = p_purpose
        returning id into v_id;
        if v_id is null then
            raise exception 'no call of this job and purpose has the id in p_usage_id' using errcode = 'PT404';
        end if;
        return v_id;
    end if;
    -- calls of one job may run side by side, and each needs its own number
    perform pg_advisory_xact_lock(hashtextextended(p_job_id::text || p_purpose, 0));
    insert into private.model_usage (
        user_id, job_id, purpose, model, attempt, prompt_tokens, completion_tokens, cached_tokens, audio_seconds,
        cost_usd, is_estimated, at
    )
    values (
        -- the person may have left while the job ran
        (select user_id from public.profiles where user_id = p_user_id for key share), p_job_id, p_purpose, p_model,
        (
            select coalesce(max(attempt), 0) + 1 from private.model_usage
            where job_id = p_job_id and purpose = p_purpose
        ),
        p_prompt_tokens, p_completion_tokens, p_cached_tokens, p_audio_seconds, p_cost_usd, p_is_estimated,
        private.clock()
    )
    returning id into v_id;
    return v_id;
end
$$;

comment on function public.svc_record_model_usage(
    uuid, uuid, text, text, bigint, int, int, int, numeric, numeric, boolean
) is
    'Records a call of a model and returns the row''s id. Without p_usage_id it adds a row, before the call is sent; '
    'with it, it corrects that row, as often as it is called. p_job_id is null for the call of a request. PT404 when '
    'p_usage_id is no row of this job and purpose, 22003 for an impossible cost or length, 23514 for impossible '
    'counts.';

create function public.svc_sum_model_usage(p_job_id uuid, p_purpose text default null)
returns table (
    attempts int, prompt_tokens bigint, completion_tokens bigint, cached_tokens bigint, audio_seconds numeric,
    cost_usd text, is_estimated boolean
)
language sql
stable
security definer
set search_path = ''
as $$
    select
        count(*)::int, coalesce(sum(u.prompt_tokens), 0), coalesce(sum(u.completion_tokens), 0),
        coalesce(sum(u.cached_tokens), 0), sum(u.audio_seconds),
        case when count(*) = count(u.cost_usd) then coalesce(sum(u.cost_usd), 0)::text end,
        coalesce(bool_or(u.is_estimated), false)
    from private.model_usage as u
    where u.job_id = p_job_id and u.purpose = coalesce(p_purpose, u.purpose);
$$;

comment on function public.svc_sum_model_usage(uuid, text) is
    'The sums over a job''s calls of models, for one purpose or all. cost_usd is a decimal string, so that no reader '
    'rounds it, and null when one price is unknown.';

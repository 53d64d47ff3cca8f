-- A code review of a public GitHub repository. A learner inserts the request; the job code_review writes the rest.

create table public.reviews (
    id uuid primary key default gen_random_uuid(),
    week_id uuid,
    user_id uuid not null default private.caller_id(),
    github_url text not null,
    depth public.review_depth not null default 'standard',
    status public.review_status not null default 'pending',
    result_json jsonb,
    error_message text,
    commit_sha text,
    metrics jsonb not null default '{}',
    started_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint reviews_user_id_fkey foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint reviews_week_id_fkey
        foreign key (week_id, user_id) references public.weeks(id, user_id) on delete set null (week_id),
    constraint reviews_github_url_check
        check (
            github_url ~* '^https://(www\.)?github\.com/[a-z0-9-]+/[a-z0-9._-]+([/?#].*)?$'
            and char_length(github_url) <= 500
        ),
    constraint reviews_result_json_check check (jsonb_typeof(result_json) = 'object'),
    constraint reviews_error_message_check check (char_length(error_message) <= 500),
    constraint reviews_commit_sha_check check (commit_sha ~ '^[0-9a-f]{40}([0-9a-f]{24})?$'),
    constraint reviews_metrics_check check (jsonb_typeof(metrics) = 'object')
);

-- for a learner's list, newest first
create index idx_reviews_user_id on public.reviews (user_id, created_at desc);
create index idx_reviews_week_id on public.reviews (week_id, user_id);
-- for what waits or runs, oldest first
create index idx_reviews_unfinished on public.reviews (created_at) where status in ('pending', 'running');

comment on table public.reviews is 'Code reviews that learners asked for.';
comment on column public.reviews.id is 'Identity of the row.';
comment on column public.reviews.week_id is 'The week it counts for, if any.';
comment on column public.reviews.user_id is 'Who asked.';
comment on column public.reviews.github_url is 'The repository: https://github.com/owner/name, and below.';
comment on column public.reviews.depth is 'How much to read.';
comment on column public.reviews.status is 'Its state.';
comment on column public.reviews.result_json is 'The review, once completed.';
comment on column public.reviews.error_message is
    'Of a failed review: a code, a colon, and a sentence the learner may read.';
comment on column public.reviews.commit_sha is 'The commit that is read, from the moment at which it is known.';
comment on column public.reviews.metrics is 'Attempts, tokens and cost of the models; how many findings were dropped.';
comment on column public.reviews.started_at is 'When the job began; kept by trigger.';
comment on column public.reviews.completed_at is 'When it completed or failed; kept by trigger.';
comment on column public.reviews.created_at is 'When the row was written.';
comment on column public.reviews.updated_at is 'When the row last changed; kept by trigger.';

create function private.stamp_review()
returns trigger
language plpgsql
-- security definer, because the clock is in the schema private, on which learners have no usage
security definer
set search_path = ''
as $$
begin
    if new.status = 'pending' then
        new.started_at := null;
        new.completed_at := null;
        new.error_message := null;
    elsif new.status = 'running' then
        new.started_at := private.clock();
        new.completed_at := null;
    else
        new.completed_at := private.clock();
    end if;
    return new;
end
$$;

comment on function private.stamp_review() is
    'BEFORE a change of status on reviews: running sets started_at, an end sets completed_at, and a return to pending '
    'clears both and the error.';

create trigger trg_reviews_stamp before update of status on public.reviews
for each row when (old.status is distinct from new.status) execute function private.stamp_review();
create trigger trg_reviews_status before insert or update of status on public.reviews
for each row execute function private.enforce_transition(
    'status', '>pending', 'pending>running', 'running>completed', 'running>failed', 'failed>pending'
);
create trigger trg_reviews_updated_at before update on public.reviews
for each row execute function public.set_updated_at();

-- Scores on their way to the platform's gradebook. A teacher's call stores a score here, in the same transaction as the
-- job that sends it, so that none is lost while the platform is down.
--
-- Per line item and person, timestamps rise strictly and only the newest score is sent. The lease on the line item
-- keeps two workers from sending its scores in the wrong order.

create table private.lti_line_items (
    id uuid primary key default gen_random_uuid(),
    deployment_id uuid not null,
    context_id text not null,
    url text,
    lineitems_url text,
    resource_id text,
    label text,
    score_maximum numeric,
    holder uuid,
    held_until timestamptz,
    created_at timestamptz not null default now(),
    constraint lti_line_items_deployment_id_fkey
        foreign key (deployment_id)
        references private.lti_deployments(id) on delete cascade,
    constraint lti_line_items_context_id_check check (char_length(context_id) between 1 and 255),
    constraint lti_line_items_url_check check (char_length(url) between 1 and 2000),
    constraint lti_line_items_lineitems_url_check check (char_length(lineitems_url) between 1 and 2000),
    constraint lti_line_items_resource_id_check check (char_length(resource_id) between 1 and 255),
    constraint lti_line_items_label_check check (char_length(label) between 1 and 255),
    constraint lti_line_items_score_maximum_check check (score_maximum > 0),
    constraint lti_line_items_kind_check check (
        case
            when resource_id is null then url is not null
            else num_nulls(lineitems_url, label, score_maximum) = 0
        end
    ),
    constraint lti_line_items_lease_check check (num_nulls(holder, held_until) <> 1)
);

create unique index uq_lti_line_items_url on private.lti_line_items (deployment_id, url) where resource_id is null;
create unique index uq_lti_line_items_resource_id
on private.lti_line_items (deployment_id, context_id, resource_id);

comment on table private.lti_line_items is 'A column of a platform''s gradebook that we send scores to.';
comment on column private.lti_line_items.id is 'Key.';
comment on column private.lti_line_items.deployment_id is 'The deployment that it belongs to.';
comment on column private.lti_line_items.context_id is 'The platform''s id of the course.';
comment on column private.lti_line_items.url is 'Its address at the platform; null until ours is made there.';
comment on column private.lti_line_items.lineitems_url is 'Where it is made, when it is ours.';
comment on column private.lti_line_items.resource_id is 'Our id of what is graded; null for one that came with a link.';
comment on column private.lti_line_items.label is 'What the gradebook shows, when it is ours.';
comment on column private.lti_line_items.score_maximum is 'The most points, when it is ours.';
comment on column private.lti_line_items.holder is 'The attempt of a job that sends its scores.';
comment on column private.lti_line_items.held_until is 'When another attempt may take over: the holder has died.';
comment on column private.lti_line_items.created_at is 'When the first score for it came.';

create table private.lti_scores (
    id bigint generated always as identity primary key,
    line_item_id uuid not null,
    user_id uuid not null,
    sub text not null,
    graded_by uuid,
    score_given numeric,
    score_maximum numeric,
    activity_progress text not null,
    grading_progress text not null,
    comment text,
    scored_at timestamptz not null,
    status text not null default 'pending',
    attempts int not null default 0,
    error_code text,
    settled_at timestamptz,
    constraint lti_scores_line_item_id_fkey
        foreign key (line_item_id)
        references private.lti_line_items(id) on delete cascade,
    constraint lti_scores_user_id_fkey foreign key (user_id) references auth.users(id) on delete cascade,
    constraint lti_scores_graded_by_fkey foreign key (graded_by) references auth.users(id) on delete set null,
    constraint lti_scores_sub_check check (char_length(sub) between 1 and 255),
    constraint lti_scores_score_given_check
        check (score_given is null or (score_given >= 0 and score_maximum is not null)),
    constraint lti_scores_score_maximum_check check (score_maximum > 0),
    constraint lti_scores_activity_progress_check
        check (activity_progress in ('Initialized', 'Started', 'InProgress', 'Submitted', 'Completed')),
    constraint lti_scores_grading_progress_check
        check (grading_progress in ('NotReady', 'Failed', 'Pending', 'PendingManual', 'FullyGraded')),
    constraint lti_scores_comment_check check (char_length(comment) between 1 and 2000),
    constraint lti_scores_status_check
        check (status in ('pending', 'sent', 'outdated', 'refused', 'superseded')),
    constraint lti_scores_settled_check check ((status = 'pending') = (settled_at is null))
);

create unique index uq_lti_scores_scored_at on private.lti_scores (line_item_id, sub, scored_at);
-- one at most waits for each person
create unique index uq_lti_scores_pending on private.lti_scores (line_item_id, sub) where status = 'pending';
create index idx_lti_scores_user_id on private.lti_scores (user_id);
create index idx_lti_scores_graded_by on private.lti_scores (graded_by);
create index idx_lti_scores_settled_at on private.lti_scores (settled_at);

comment on table private.lti_scores is 'A score for the platform''s gradebook.';
comment on column private.lti_scores.id is 'Key; later scores have greater ones.';
comment on column private.lti_scores.line_item_id is 'In which column of the gradebook.';
comment on column private.lti_scores.user_id is 'Whose score.';
comment on column private.lti_scores.sub is 'That person''s id at the platform.';
comment on column private.lti_scores.graded_by is 'The teacher who sent it.';
comment on column private.lti_scores.score_given is 'Points; null when only the progress is told.';
comment on column private.lti_scores.score_maximum is 'Of how many points.';
comment on column private.lti_scores.activity_progress is 'How far the person is, in the words of LTI.';
comment on column private.lti_scores.grading_progress is 'How far the grading is, in the words of LTI.';
comment on column private.lti_scores.comment is 'What the person reads beside it.';
comment on column private.lti_scores.scored_at is
    'Its timestamp at the platform, in milliseconds. Later scores for the same person have later ones.';
comment on column private.lti_scores.status is
    'pending: to be sent. sent. outdated: the platform holds a newer result. refused: the platform does not take it. '
    'superseded: a newer score came before it was sent.';
comment on column private.lti_scores.attempts is 'How often it was sent.';
comment on column private.lti_scores.error_code is 'Why it was not taken, as docs/errors.md lists it.';
comment on column private.lti_scores.settled_at is 'When it stopped being pending.';

create function public.svc_get_lti_launch(p_launch_id uuid, p_user_id uuid)
returns table (
    deployment uuid,
    deployment_id text,
    registration_id uuid,
    status text,
    context_id text,
    message_type text,
    claims jsonb,
    roles text[]
)
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if p_launch_id is null or p_user_id is null then
        raise exception 'p_launch_id and p_user_id must not be null' using errcode = '22004';
    end if;
    return query
    select
        d.id, d.deployment_id, r.id,
        case
            when 'disabled' in (d.status, r.status, p.status) then 'disabled'
            when 'pending' in (d.status, r.status, p.status) then 'pending'
            else 'active'
        end,
        l.context_id, l.message_type, l.claims,
        case when m.left_at >= m.seen_at then '{}' else coalesce(m.roles, '{}') end
    from private.lti_launches as l
    join private.lti_identities as i on i.id = l.identity_id
    join private.lti_deployments as d on d.id = l.deployment_id
    join private.lti_registrations as r on r.id = d.registration_id
    join private.lti_platforms as p on p.id = r.platform_id
    left join private.lti_memberships as m
        on m.deployment_id = l.deployment_id and m.context_id = l.context_id and m.user_id = i.user_id
    where l.id = p_launch_id and i.user_id = p_user_id and l.expires_at > private.clock();
end
$$;

comment on function public.svc_get_lti_launch(uuid, uuid) is
    'A person''s own launch of the last day, with the roles that they have in its course now. status is active only '
    'if those of deployment, registration and platform are. No row for another person''s launch.';

create function private.lti_line_item(
    p_deployment uuid,
    p_context_id text,
    p_url text,
    p_lineitems_url text,
    p_resource_id text,
    p_label text,
    p_score_maximum numeric
)
returns uuid
language plpgsql
volatile
set search_path = ''
as $$
declare
    v_id uuid;
begin
    insert into private.lti_line_items as i (
        deployment_id, context_id, url, lineitems_url, resource_id, label, score_maximum, created_at
    )
    values (
        p_deployment, p_context_id,
        case when p_resource_id is null then p_url end,
        case when p_resource_id is not null then p_lineitems_url end,
        p_resource_id,
        case when p_resource_id is not null then p_label end,
        case when p_resource_id is not null then p_score_maximum end,
        private.clock()
    )
    on conflict do nothing;
    -- whoever holds this row gives the next timestamp
    select i.id into v_id from private.lti_line_items as i
    where i.deployment_id = p_deployment
        and case when p_resource_id is null then i.resource_id is null and i.url = p_url
        else i.context_id = p_context_id and i.resource_id = p_resource_id end
    for no key update;
    return v_id;
end
$$;

comment on function private.lti_line_item(uuid, text, text, text, text, text, numeric) is
    'The row of a line item, made at its first score, and locked. With p_resource_id it is one of ours, otherwise the '
    'one at p_url.';

create function public.svc_queue_lti_score(
    p_launch_id uuid,
    p_teacher_id uuid,
    p_user_id uuid,
    p_score jsonb,
    p_url text default null,
    p_lineitems_url text default null,
    p_resource_id text default null,
    p_label text default null
)
returns table (job_id uuid, score_id bigint)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_launch record;
    v_sub text;
    v_line_item uuid;
    v_maximum constant numeric := (p_score ->> 'score_maximum')::numeric;
    v_now constant timestamptz := date_trunc('milliseconds', private.clock());
    v_id bigint;
begin
    if p_launch_id is null or p_teacher_id is null or p_user_id is null or p_score is null then
        raise exception 'p_launch_id, p_teacher_id, p_user_id and p_score must not be null' using errcode = '22004';
    end if;
    if p_resource_id is null and p_url is null or p_resource_id is not null and p_lineitems_url is null then
        raise exception 'p_url, or p_resource_id with p_lineitems_url, must not be null' using errcode = '22004';
    end if;
    select * into v_launch from public.svc_get_lti_launch(p_launch_id, p_teacher_id);
    if not found or v_launch.context_id is null then
        raise exception 'no launch of p_teacher_id has the id in p_launch_id' using errcode = 'PT404';
    end if;
    -- a person may have several ids at a platform; the one used in this course is right
    select i.sub into v_sub
    from private.lti_memberships as m
    join private.lti_registrations as r on r.id = v_launch.registration_id
    join private.lti_identities as i on i.user_id = m.user_id and i.platform_id = r.platform_id
    where m.deployment_id = v_launch.deployment and m.context_id = v_launch.context_id and m.user_id = p_user_id
    order by (
        select max(l.created_at) from private.lti_launches as l
        where l.identity_id = i.id and l.deployment_id = m.deployment_id and l.context_id = m.context_id
    ) desc nulls last, i.created_at desc, i.id
    limit 1;
    if not found then
        raise exception 'p_user_id has not come in from this course' using errcode = 'PT404';
    end if;
    v_line_item := private.lti_line_item(
        v_launch.deployment, v_launch.context_id, p_url, p_lineitems_url, p_resource_id, p_label, v_maximum
    );
    update private.lti_scores as s set status = 'superseded', settled_at = private.clock()
    where s.line_item_id = v_line_item and s.sub = v_sub and s.status = 'pending';
    insert into private.lti_scores as s (
        line_item_id, user_id, sub, graded_by, score_given, score_maximum, activity_progress, grading_progress,
        comment, scored_at
    )
    values (
        v_line_item, p_user_id, v_sub, p_teacher_id,
        (p_score ->> 'score_given')::numeric, v_maximum,
        p_score ->> 'activity_progress', p_score ->> 'grading_progress', p_score ->> 'comment',
        -- the clock may stand still between two calls, or go back
        greatest(
            v_now,
            (select max(o.scored_at) from private.lti_scores as o where o.line_item_id = v_line_item and o.sub = v_sub)
            + interval '1 millisecond'
        )
    )
    returning s.id into v_id;
    -- a job of the teacher's own, because people see their own jobs alone; the lease keeps the order
    return query
    select e.job_id, v_id
    from public.svc_enqueue_job(
        p_type => 'lti_score',
        p_payload => jsonb_build_object('line_item_id', v_line_item),
        p_user_id => p_teacher_id,
        p_dedupe_key => 'lti_score:' || v_line_item || ':' || p_teacher_id,
        p_dedupe_mode => 'queued',
        p_max_retries => 10
    ) as e;
end
$$;

comment on function public.svc_queue_lti_score(uuid, uuid, uuid, jsonb, text, text, text, text) is
    'Stores a score of a person of the launch''s course, and the job that sends it. p_score has score_given, '
    'score_maximum, activity_progress, grading_progress and comment. The service has checked that p_teacher_id '
    'teaches there. It takes the place of one that still waits. PT404 when the launch is not the teacher''s, or the '
    'person has not come in from its course.';

create function public.svc_take_lti_scores(p_line_item_id uuid, p_holder uuid, p_seconds int, p_limit int default 5)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_item private.lti_line_items;
    v_scores jsonb;
    v_registration record;
begin
    if p_line_item_id is null or p_holder is null then
        raise exception 'p_line_item_id and p_holder must not be null' using errcode = '22004';
    end if;
    if p_seconds is null or p_seconds not between 1 and 300 then
        raise exception 'p_seconds must be between 1 and 300' using errcode = '22023';
    end if;
    if p_limit is null or p_limit not between 1 and 100 then
        raise exception 'p_limit must be between 1 and 100' using errcode = '22023';
    end if;
    select * into v_item from private.lti_line_items as i where i.id = p_line_item_id for no key update;
    if not found then
        return jsonb_build_object('outcome', 'gone');
    end if;
    if v_item.holder <> p_holder and v_item.held_until > v_now then
        return jsonb_build_object(
            'outcome', 'busy', 'seconds', ceil(extract(epoch from v_item.held_until - v_now))
        );
    end if;
    select jsonb_agg(to_jsonb(s) order by s.id) into v_scores
    from (
        select s.id, s.user_id, s.sub, s.score_given, s.score_maximum, s.activity_progress, s.grading_progress,
            s.comment, s.scored_at
        from private.lti_scores as s
        where s.line_item_id = p_line_item_id and s.status = 'pending'
        order by s.id limit p_limit
    ) as s;
    -- nothing left: given back in the transaction that saw it, so that the next score finds it free
    update private.lti_line_items
    set holder = case when v_scores is not null then p_holder end,
        held_until = case when v_scores is not null then v_now + make_interval(secs => p_seconds) end
    where id = p_line_item_id;
    if v_scores is null then
        return jsonb_build_object('outcome', 'empty');
    end if;
    select
        d.registration_id,
        case when (d.status, r.status, p.status) = ('active', 'active', 'active') then 'ok' else 'disabled' end
            as outcome
    into v_registration
    from private.lti_deployments as d
    join private.lti_registrations as r on r.id = d.registration_id
    join private.lti_platforms as p on p.id = r.platform_id
    where d.id = v_item.deployment_id;
    return jsonb_build_object(
        'outcome', v_registration.outcome,
        'registration_id', v_registration.registration_id,
        'url', v_item.url,
        'lineitems_url', v_item.lineitems_url,
        'resource_id', v_item.resource_id,
        'label', v_item.label,
        'score_maximum', v_item.score_maximum,
        'scores', v_scores
    );
end
$$;

comment on function public.svc_take_lti_scores(uuid, uuid, int, int) is
    'Takes or renews the lease on a line item, and lists its oldest pending scores. outcome is ok; busy, with the '
    'seconds that another holder has it; empty, and the lease is given back; disabled when nothing may be sent there; '
    'gone.';

create function public.svc_give_back_lti_line_item(p_line_item_id uuid, p_holder uuid)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    update private.lti_line_items set holder = null, held_until = null
    where id = p_line_item_id and holder = p_holder;
$$;

comment on function public.svc_give_back_lti_line_item(uuid, uuid) is 'Ends a lease, when it is still held.';

create function public.svc_place_lti_line_item(p_line_item_id uuid, p_holder uuid, p_url text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_line_item_id is null or p_holder is null then
        raise exception 'p_line_item_id and p_holder must not be null' using errcode = '22004';
    end if;
    update private.lti_line_items set url = p_url
    where id = p_line_item_id and holder = p_holder and resource_id is not null;
    return found;
end
$$;

comment on function public.svc_place_lti_line_item(uuid, uuid, text) is
    'Notes where a line item of ours is at the platform; null when it is no longer there. False when the lease is '
    'lost.';

create function public.svc_settle_lti_score(
    p_score_id bigint,
    p_holder uuid,
    p_status text,
    p_error_code text default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_score_id is null or p_holder is null or p_status is null then
        raise exception 'p_score_id, p_holder and p_status must not be null' using errcode = '22004';
    end if;
    if p_status not in ('pending', 'sent', 'outdated', 'refused') then
        raise exception 'p_status must be pending, sent, outdated or refused' using errcode = '22023';
    end if;
    -- a newer score may have come while this one was under way
    update private.lti_scores as s
    set status = case when p_status = 'pending' then s.status else p_status end,
        settled_at = case when p_status = 'pending' then s.settled_at else private.clock() end,
        error_code = p_error_code,
        attempts = s.attempts + 1
    from private.lti_line_items as i
    where s.id = p_score_id and i.id = s.line_item_id and i.holder = p_holder
        and s.status in ('pending', 'superseded');
    return found;
end
$$;

comment on function public.svc_settle_lti_score(bigint, uuid, text, text) is
    'Notes what became of a score that was sent; pending, with a code, when it goes again. False when the lease is '
    'lost or the score was settled before.';

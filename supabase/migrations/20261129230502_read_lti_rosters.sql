-- Rosters of courses are read from the platform, and who left a course has no rights there.
-- Touches: public.job_type (lti_roster), private.lti_memberships (left_at, roster_at), private.lti_rosters (new),
--   public.svc_get_lti_launch, and the svc functions of rosters.
-- Undo: drop the functions, the table and the two columns, and put the old svc_get_lti_launch back. The value of the
--   type stays.

set lock_timeout = '5s';

alter type public.job_type add value 'lti_roster';

alter table private.lti_memberships add column left_at timestamptz, add column roster_at timestamptz;

comment on table private.lti_memberships is
    'A person''s roles in a context of a platform, by their last launch or a later roster.';
comment on column private.lti_memberships.deployment_id is 'The deployment of the course.';
comment on column private.lti_memberships.roles is 'Context roles, as the platform writes them.';
comment on column private.lti_memberships.seen_at is 'When the person last launched, or a roster first listed them.';
comment on column private.lti_memberships.left_at is
    'When a roster no longer listed them. They have no rights unless seen_at is later.';
comment on column private.lti_memberships.roster_at is 'When a roster last listed them.';

create or replace function public.svc_get_lti_launch(p_launch_id uuid, p_user_id uuid)
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

create table private.lti_rosters (
    deployment_id uuid not null,
    context_id text not null,
    memberships_url text not null,
    run uuid,
    next_url text,
    members int not null default 0,
    holder uuid,
    held_until timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (deployment_id, context_id),
    constraint lti_rosters_deployment_id_fkey
        foreign key (deployment_id)
        references private.lti_deployments(id) on delete cascade,
    constraint lti_rosters_context_id_check check (char_length(context_id) between 1 and 255),
    constraint lti_rosters_memberships_url_check check (char_length(memberships_url) between 1 and 2000),
    constraint lti_rosters_next_url_check check (char_length(next_url) between 1 and 2000),
    constraint lti_rosters_members_check check (members >= 0),
    constraint lti_rosters_lease_check check (num_nulls(holder, held_until) <> 1)
);

comment on table private.lti_rosters is 'How far the list of a course''s people was read.';
comment on column private.lti_rosters.deployment_id is 'The deployment of the course.';
comment on column private.lti_rosters.context_id is 'The platform''s id of the course.';
comment on column private.lti_rosters.memberships_url is 'Where the list begins.';
comment on column private.lti_rosters.run is 'The job that reads it, or read it last.';
comment on column private.lti_rosters.next_url is 'The next page of an unfinished run; null before the first.';
comment on column private.lti_rosters.members is 'How many people the pages of the run have listed.';
comment on column private.lti_rosters.holder is 'The attempt of a job that reads it.';
comment on column private.lti_rosters.held_until is 'When another attempt may take over: the holder has died.';
comment on column private.lti_rosters.started_at is 'When the run began.';
comment on column private.lti_rosters.finished_at is 'When an entire list was last read.';

create function public.svc_queue_lti_roster(p_launch_id uuid, p_teacher_id uuid, p_memberships_url text)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_launch record;
    v_job uuid;
begin
    if p_launch_id is null or p_teacher_id is null or p_memberships_url is null then
        raise exception 'p_launch_id, p_teacher_id and p_memberships_url must not be null' using errcode = '22004';
    end if;
    select * into v_launch from public.svc_get_lti_launch(p_launch_id, p_teacher_id);
    if not found or v_launch.context_id is null then
        raise exception 'no launch of p_teacher_id has the id in p_launch_id' using errcode = 'PT404';
    end if;
    insert into private.lti_rosters (deployment_id, context_id, memberships_url)
    values (v_launch.deployment, v_launch.context_id, p_memberships_url)
    on conflict (deployment_id, context_id) do update set memberships_url = excluded.memberships_url;
    select e.job_id into v_job
    from public.svc_enqueue_job(
        p_type => 'lti_roster',
        p_payload => jsonb_build_object('deployment_id', v_launch.deployment, 'context_id', v_launch.context_id),
        p_user_id => p_teacher_id,
        p_dedupe_key => 'lti_roster:' || md5(concat_ws(':', v_launch.deployment, p_teacher_id, v_launch.context_id)),
        p_max_retries => 5
    ) as e;
    return v_job;
end
$$;

comment on function public.svc_queue_lti_roster(uuid, uuid, text) is
    'Starts to read the roster of a launch''s course; the job''s id. A live job of this teacher for it is returned '
    'instead. The service has checked that p_teacher_id teaches there. PT404 when the launch is not theirs.';

create function public.svc_begin_lti_roster(
    p_deployment uuid,
    p_context_id text,
    p_teacher_id uuid,
    p_run uuid,
    p_holder uuid,
    p_seconds int,
    p_from_start boolean default false
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_roster private.lti_rosters;
    v_course record;
    v_goes_on boolean;
begin
    if num_nulls(p_deployment, p_context_id, p_teacher_id, p_run, p_holder, p_from_start) > 0 then
        raise exception 'p_deployment, p_context_id, p_teacher_id, p_run, p_holder and p_from_start must not be null'
            using errcode = '22004';
    end if;
    if p_seconds is null or p_seconds not between 1 and 300 then
        raise exception 'p_seconds must be between 1 and 300' using errcode = '22023';
    end if;
    select * into v_roster from private.lti_rosters
    where deployment_id = p_deployment and context_id = p_context_id for no key update;
    if not found then
        return jsonb_build_object('outcome', 'gone');
    end if;
    if v_roster.holder <> p_holder and v_roster.held_until > v_now then
        return jsonb_build_object(
            'outcome', 'busy', 'seconds', ceil(extract(epoch from v_roster.held_until - v_now))
        );
    end if;
    select
        d.registration_id,
        case when (d.status, r.status, p.status) = ('active', 'active', 'active') then 'ok' else 'disabled' end
            as outcome,
        case when m.left_at >= m.seen_at then '{}' else coalesce(m.roles, '{}') end as roles
    into v_course
    from private.lti_deployments as d
    join private.lti_registrations as r on r.id = d.registration_id
    join private.lti_platforms as p on p.id = r.platform_id
    left join private.lti_memberships as m
        on m.deployment_id = d.id and m.context_id = p_context_id and m.user_id = p_teacher_id
    where d.id = p_deployment;
    v_goes_on := not p_from_start and v_roster.next_url is not null
        and v_roster.run = p_run and v_roster.started_at > v_now - interval '1 hour';
    if v_course.outcome = 'ok' then
        update private.lti_rosters
        set holder = p_holder, held_until = v_now + make_interval(secs => p_seconds), run = p_run,
            started_at = case when v_goes_on then started_at else v_now end,
            members = case when v_goes_on then members else 0 end,
            next_url = case when v_goes_on then next_url end
        where deployment_id = p_deployment and context_id = p_context_id;
    end if;
    return jsonb_build_object(
        'outcome', v_course.outcome,
        'registration_id', v_course.registration_id,
        'roles', v_course.roles,
        'goes_on', v_goes_on,
        'url', case when v_goes_on then v_roster.next_url else v_roster.memberships_url end
    );
end
$$;

comment on function public.svc_begin_lti_roster(uuid, text, uuid, uuid, uuid, int, boolean) is
    'Takes the lease on a roster. outcome is ok, with the page to read next, which is a later one (goes_on) when this '
    'job was interrupted within the hour; busy, with the seconds that another holder has it; disabled; gone. roles '
    'are those that the teacher has in the course now.';

create function public.svc_apply_lti_roster(
    p_deployment uuid,
    p_context_id text,
    p_holder uuid,
    p_members jsonb,
    p_next_url text default null,
    p_seconds int default 120
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_roster private.lti_rosters;
    v_known int;
    v_left int := 0;
begin
    if num_nulls(p_deployment, p_context_id, p_holder, p_members) > 0 then
        raise exception 'p_deployment, p_context_id, p_holder and p_members must not be null' using errcode = '22004';
    end if;
    if p_seconds is null or p_seconds not between 1 and 300 then
        raise exception 'p_seconds must be between 1 and 300' using errcode = '22023';
    end if;
    update private.lti_rosters
    set members = members + jsonb_array_length(p_members), next_url = p_next_url,
        held_until = v_now + make_interval(secs => p_seconds)
    where deployment_id = p_deployment and context_id = p_context_id and holder = p_holder and held_until > v_now
    returning * into v_roster;
    if not found then
        return jsonb_build_object('outcome', 'lost');
    end if;
    if p_next_url is null and v_roster.members = 0 then
        -- a course has at least the teacher who asked: marking everybody as gone would lock them out
        return jsonb_build_object('outcome', 'empty');
    end if;
    with listed as (
        select distinct on (i.user_id)
            i.user_id,
            array(select jsonb_array_elements_text(e.value -> 'roles')) as roles,
            (e.value ->> 'is_gone')::boolean as is_gone
        from jsonb_array_elements(p_members) as e
        join private.lti_deployments as d on d.id = p_deployment
        join private.lti_registrations as r on r.id = d.registration_id
        join private.lti_identities as i on i.platform_id = r.platform_id and i.sub = e.value ->> 'sub'
        -- the id of an account that was never made is reserved only
        join auth.users as u on u.id = i.user_id
        -- somebody with two ids is there when one of them is
        order by i.user_id, is_gone
    )
    insert into private.lti_memberships as m (deployment_id, context_id, user_id, roles, seen_at, left_at, roster_at)
    select p_deployment, p_context_id, l.user_id, l.roles, v_now, case when l.is_gone then v_now end, v_now
    from listed as l
    on conflict (deployment_id, context_id, user_id) do update
    set roles = case
            -- the roles of a launch since the list began are newer
            when m.seen_at > v_roster.started_at then m.roles
            else excluded.roles
        end,
        left_at = case when m.seen_at > v_roster.started_at then m.left_at else excluded.left_at end,
        roster_at = excluded.roster_at;
    get diagnostics v_known = row_count;
    if p_next_url is null then
        update private.lti_memberships as m set left_at = v_now
        where m.deployment_id = p_deployment and m.context_id = p_context_id
            and m.seen_at < v_roster.started_at
            and (m.roster_at is null or m.roster_at < v_roster.started_at)
            and (m.left_at is null or m.left_at < m.seen_at);
        get diagnostics v_left = row_count;
        update private.lti_rosters set holder = null, held_until = null, finished_at = v_now
        where deployment_id = p_deployment and context_id = p_context_id;
    end if;
    return jsonb_build_object('outcome', 'ok', 'known', v_known, 'left', v_left, 'members', v_roster.members);
end
$$;

comment on function public.svc_apply_lti_roster(uuid, text, uuid, jsonb, text, int) is
    'Keeps a page of a roster: members are objects of sub, roles and is_gone. After the last page, which has no '
    'p_next_url, everybody whom the run did not list and who has not launched since is marked as gone. outcome is ok, '
    'with known, left and members; lost when another holder has the lease; empty when the list names nobody.';

create function public.svc_give_back_lti_roster(p_deployment uuid, p_context_id text, p_holder uuid)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    update private.lti_rosters set holder = null, held_until = null
    where deployment_id = p_deployment and context_id = p_context_id and holder = p_holder;
$$;

comment on function public.svc_give_back_lti_roster(uuid, text, uuid) is 'Ends a lease, when it is still held.';

alter table private.lti_rosters enable row level security;

create policy nobody on private.lti_rosters to anon, authenticated
using (false)
with check (false);
comment on policy nobody on private.lti_rosters is 'Closed on purpose: only the service''s definer functions use it.';

grant execute on function public.svc_queue_lti_roster(uuid, uuid, text) to service_role;

grant execute on function public.svc_begin_lti_roster(uuid, text, uuid, uuid, uuid, int, boolean) to service_role;

grant execute on function public.svc_apply_lti_roster(uuid, text, uuid, jsonb, text, int) to service_role;

grant execute on function public.svc_give_back_lti_roster(uuid, text, uuid) to service_role;

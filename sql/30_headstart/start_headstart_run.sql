create function public.svc_start_headstart_run(
    p_user_id uuid,
    p_assignment_id uuid,
    p_trigger text,
    p_prompt_version text default null
)
returns table (run_id uuid, job_id uuid, created boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_assignment public.assignments;
    v_trigger public.headstart_trigger;
begin
    if p_user_id is null or p_assignment_id is null or p_trigger is null then
        raise exception 'p_user_id, p_assignment_id and p_trigger must not be null' using errcode = '22004';
    end if;
    if p_trigger <> all (enum_range(null::public.headstart_trigger)::text[]) then
        raise exception 'p_trigger must be one of %', array_to_string(enum_range(null::public.headstart_trigger), ', ')
            using errcode = '22023';
    end if;
    v_trigger := p_trigger::public.headstart_trigger;
    -- of two requests at once the second waits here and finds the run of the first
    select * into v_assignment from public.assignments
    where id = p_assignment_id and user_id = p_user_id for no key update;
    if not found then
        raise exception 'no assignment of this person has the id in p_assignment_id' using errcode = 'PT404';
    end if;
    if v_assignment.status = 'removed' then
        raise exception 'the assignment was removed from Canvas' using errcode = 'PT409',
            hint = 'Sync, then choose another assignment.';
    end if;

    created := false;
    select r.id into run_id from public.headstart_runs as r
    where r.assignment_id = p_assignment_id and r.status in ('queued', 'running');
    if not found and v_trigger <> 'manual' then
        select r.id into run_id from public.headstart_runs as r
        where r.assignment_id = p_assignment_id and r.trigger = v_trigger and r.trigger <> 'manual'
            and r.assignment_hash = v_assignment.content_hash and r.prompt_version = p_prompt_version;
        if found then
            -- it was written before, for the same reason and from the same text
            return next;
            return;
        end if;
    end if;
    if run_id is null then
        insert into public.headstart_runs (
            user_id, assignment_id, trigger, assignment_hash, task_hash, prompt_version, created_at
        )
        values (
            p_user_id, p_assignment_id, v_trigger, v_assignment.content_hash,
            private.task_hash(
                v_assignment.title, v_assignment.description_html, v_assignment.points_possible,
                v_assignment.submission_types, v_assignment.raw_payload
            ),
            p_prompt_version, private.clock()
        )
        returning id into run_id;
        created := true;
    end if;
    -- a joined run, too: enqueuing joins its live job, and replaces a job that was lost
    select j.job_id into job_id from public.svc_enqueue_job(
        p_type => 'headstart',
        p_payload => jsonb_build_object('run_id', run_id),
        p_user_id => p_user_id,
        p_dedupe_key => 'headstart:' || run_id,
        -- nobody waits for one that starts by itself
        p_priority => case when v_trigger = 'manual' then 0 else -10 end
    ) as j;
    return next;
end
$$;

comment on function public.svc_start_headstart_run(uuid, uuid, text, text) is
    'Starts a headstart for a person''s assignment and enqueues its job (type headstart, payload {run_id}). Joins a '
    'live run of the assignment (created false). For triggers other than manual, a run that already exists for the '
    'same content and p_prompt_version is returned without a job. PT404 for a missing assignment or another '
    'person''s, PT409 for a removed one, 22023 for an unknown trigger.';

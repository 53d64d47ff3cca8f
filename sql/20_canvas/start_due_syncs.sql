-- Starts the syncs that nobody asked for. They rank behind what people ask for, keep an interval, and are spread over
-- it, so that a class that connected in one minute does not come back to its Canvas in one minute.

create function public.svc_start_due_syncs(p_interval_s int, p_limit int default 200)
returns table (started int, postponed int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := private.clock();
    v_interval interval;
    v_every interval;
    v_window interval;
    v_found record;
    v_due private.integration_schedules;
    v_used_at timestamptz;
begin
    if num_nulls(p_interval_s, p_limit) > 0 then
        raise exception 'p_interval_s and p_limit must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_interval_s', p_interval_s, 60, 2592000);
    perform private.check_number('p_limit', p_limit, 1, 1000);
    v_interval := make_interval(secs => p_interval_s);
    started := 0;
    postponed := 0;
    for v_found in
        select d.integration_id, i.user_id, i.created_at, c.status = 'active' as is_usable
        from (
            select s.integration_id from private.integration_schedules as s
            where s.next_sync_at <= v_now order by s.next_sync_at limit p_limit
        ) as d
        join public.integrations as i on i.id = d.integration_id
        left join public.lms_connections as c on c.id = i.lms_connection_id
        -- jobs of several people are enqueued in the order of their ids
        order by i.user_id, d.integration_id
    loop
        -- first the person, then the schedule, as svc_start_canvas_sync; whoever is busy comes with the next look
        perform from public.profiles where user_id = v_found.user_id for no key update skip locked;
        continue when not found;
        select * into v_due from private.integration_schedules
        where integration_id = v_found.integration_id and next_sync_at <= v_now for update skip locked;
        continue when not found;
        v_used_at := greatest(
            v_due.asked_at,
            v_found.created_at,
            (select last_active from public.user_stats where user_id = v_found.user_id)
        );
        v_every := v_interval * case
            when v_used_at > v_now - interval '7 days' then 1
            when v_used_at > v_now - interval '30 days' then 4
            else 28
        end;
        if v_due.asked_at > v_now - v_interval then
            postponed := postponed + 1;
            update private.integration_schedules set next_sync_at = v_due.asked_at + v_interval * (1 + random())
            where integration_id = v_due.integration_id;
        elsif v_found.is_usable is false then
            postponed := postponed + 1;
            update private.integration_schedules set next_sync_at = v_now + v_every * (1 + random())
            where integration_id = v_due.integration_id;
        else
            started := started + 1;
            -- after a time without workers many are due: they start over as long as they waited
            v_window := least(greatest(interval '5 minutes', v_now - v_due.next_sync_at), v_interval / 2);
            perform private.start_canvas_sync(
                v_found.user_id, array[v_due.integration_id], null, -10, v_now + v_window * random()
            );
            update private.integration_schedules set next_sync_at = v_now + v_every * (0.9 + 0.2 * random())
            where integration_id = v_due.integration_id;
        end if;
    end loop;
    return next;
end
$$;

comment on function public.svc_start_due_syncs(int, int) is
    'Starts the syncs of integrations that are due: every p_interval_s, a quarter as often when their owner was not '
    'seen for a week, and a twenty-eighth after 30 days. What its owner asked for within the interval, and what '
    'belongs to an installation that is switched off, is postponed. Call it until both counts are 0.';

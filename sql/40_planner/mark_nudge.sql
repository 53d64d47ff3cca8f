create function private.mark_nudge(p_id uuid, p_event text)
returns public.nudges
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_nudge public.nudges;
begin
    if p_id is null or p_event is null then
        raise exception 'p_id and p_event must not be null' using errcode = '22004';
    end if;
    if p_event not in ('opened', 'clicked') then
        raise exception 'p_event must be opened or clicked' using errcode = '22023';
    end if;
    update public.nudges
    set opened_at = coalesce(opened_at, private.clock()),
        clicked_at = case when p_event = 'clicked' then coalesce(clicked_at, private.clock()) else clicked_at end
    where id = p_id and user_id = v_caller
    returning * into v_nudge;
    if not found then
        raise exception 'no nudge of yours has the id in p_id' using errcode = 'PT404';
    end if;
    return v_nudge;
end
$$;

comment on function private.mark_nudge(uuid, text) is 'Behind public.mark_nudge().';

create function public.mark_nudge(p_id uuid, p_event text)
returns public.nudges
language sql
volatile
set search_path = ''
begin atomic
    select private.mark_nudge(p_id, p_event);
end;

comment on function public.mark_nudge(uuid, text) is
    'Records that the caller opened or clicked a nudge of theirs. The first time stays, and a click counts as '
    'opening. PT404 for another person''s, 22023 for another event.';

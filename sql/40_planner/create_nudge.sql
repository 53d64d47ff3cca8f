-- Nudges are made only here, so that the person's daily quota holds however many workers run.

create function public.svc_create_nudge(
    p_user_id uuid,
    p_type text,
    p_channel text,
    p_message text,
    p_trigger_reason text default null,
    p_suggestions text[] default '{}'
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_cap smallint;
    v_zone text;
    v_day timestamp;
    v_count bigint;
    v_id uuid;
    v_in_app constant boolean := p_channel in ('in_app', 'both');
begin
    if p_user_id is null or p_type is null or p_channel is null or p_message is null then
        raise exception 'p_user_id, p_type, p_channel and p_message must not be null' using errcode = '22004';
    end if;
    if p_type <> all (enum_range(null::public.nudge_type)::text[]) then
        raise exception 'p_type must be one of %', array_to_string(enum_range(null::public.nudge_type), ', ')
            using errcode = '22023';
    end if;
    if p_channel <> all (enum_range(null::public.nudge_channel)::text[]) then
        raise exception 'p_channel must be one of %', array_to_string(enum_range(null::public.nudge_channel), ', ')
            using errcode = '22023';
    end if;
    -- of two calls at once the second waits here and counts the first
    select nudge_frequency_cap into v_cap from public.user_settings where user_id = p_user_id for update;
    if not found then
        raise exception 'no person has the id in p_user_id' using errcode = 'PT404';
    end if;
    select timezone into v_zone from public.profiles where user_id = p_user_id;
    v_day := date_trunc('day', private.clock() at time zone v_zone);
    -- both ends are local times, because the day of a clock change has 23 or 25 hours
    select count(*) into v_count from public.nudges
    where user_id = p_user_id
        and created_at >= v_day at time zone v_zone
        and created_at < (v_day + interval '1 day') at time zone v_zone;
    if v_count >= v_cap then
        return null;
    end if;

    insert into public.nudges (user_id, type, channel, message, trigger_reason, suggestions_made, sent_at, created_at)
    values (
        p_user_id, p_type::public.nudge_type, p_channel::public.nudge_channel, p_message, p_trigger_reason,
        coalesce(p_suggestions, '{}'), case when v_in_app then private.clock() end, private.clock()
    )
    returning id into v_id;
    if v_in_app then
        insert into public.notifications (user_id, nudge_id, type, status, title, body, created_at)
        values (p_user_id, v_id, 'nudge', 'sent', 'A reminder for your studies', p_message, private.clock());
    end if;
    return v_id;
end
$$;

comment on function public.svc_create_nudge(uuid, text, text, text, text, text[]) is
    'Makes a nudge and returns its id; null when the person already had nudge_frequency_cap of them on this local '
    'day. For in_app and both it writes the inbox line, which counts as sent; email alone stays unsent until '
    'svc_mark_nudge_sent. PT404 when the person does not exist, 22023 for an unknown type or channel.';

create function public.svc_mark_nudge_sent(p_id uuid)
returns uuid
language sql
volatile
security definer
set search_path = ''
as $$
    update public.nudges set sent_at = coalesce(sent_at, private.clock()) where id = p_id returning id;
$$;

comment on function public.svc_mark_nudge_sent(uuid) is
    'Records that the mail of a nudge was sent; the first time stays. Returns the id, or null when the nudge does not '
    'exist.';

create function private.touch_last_active()
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
begin
    update public.user_stats set last_active = private.clock()
    where user_id = v_caller
        -- five minutes is precise enough for streaks, and most calls write nothing
        and (last_active is null or last_active <= private.clock() - interval '5 minutes');
end
$$;

comment on function private.touch_last_active() is 'Behind public.touch_last_active().';

create function public.touch_last_active()
returns void
language sql
volatile
set search_path = ''
begin atomic
    select private.touch_last_active();
end;

comment on function public.touch_last_active() is
    'Records that the caller is active. Writes at most once in five minutes.';

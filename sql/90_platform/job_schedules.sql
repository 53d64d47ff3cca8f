-- Jobs by the clock. Any worker may tick; the row's lock makes each due moment happen once. Cron fields are read in the
-- schedule's time zone, so "8 o'clock" stays 8 o'clock when summer time begins.

create table private.job_schedules (
    name text primary key,
    cron text not null,
    tz text not null default 'UTC',
    next_run_at timestamptz not null,
    type public.job_type not null,
    payload jsonb not null default '{}',
    catch_up text not null default 'one',

    constraint job_schedules_payload_check check (jsonb_typeof(payload) = 'object'),
    constraint job_schedules_catch_up_check check (catch_up in ('skip', 'one', 'all'))
);

comment on table private.job_schedules is 'Jobs that come back by the clock.';
comment on column private.job_schedules.name is 'Its name.';
comment on column private.job_schedules.cron is
    'Minute, hour, day of month, month, day of week (0 and 7 are Sunday); * , - and / work.';
comment on column private.job_schedules.tz is 'The time zone the fields are read in.';
comment on column private.job_schedules.next_run_at is 'The next due moment.';
comment on column private.job_schedules.type is 'The job.';
comment on column private.job_schedules.payload is 'Its input.';
comment on column private.job_schedules.catch_up is
    'After a time without workers: skip what was missed, run one for all of it, or all of them.';

create function private.cron_field(p_field text, p_min int, p_max int)
returns int[]
language plpgsql
immutable
strict
set search_path = ''
as $$
declare
    v_part text;
    v_range text;
    v_step int;
    v_from int;
    v_to int;
    v_values int[] := '{}';
begin
    foreach v_part in array string_to_array(p_field, ',') loop
        if v_part !~ '^(\*|\d{1,4}(-\d{1,4})?)(/\d{1,4})?$' then
            raise exception 'cron: "%" is not a field of a cron line', p_field using errcode = '22023';
        end if;
        v_range := split_part(v_part, '/', 1);
        v_step := coalesce(nullif(split_part(v_part, '/', 2), ''), '1')::int;
        if v_range = '*' then
            v_from := p_min;
            v_to := p_max;
        else
            v_from := split_part(v_range, '-', 1)::int;
            v_to := case
                when v_range like '%-%' then split_part(v_range, '-', 2)::int
                when v_part like '%/%' then p_max
                else v_from
            end;
        end if;
        if v_step < 1 or v_from < p_min or v_to > p_max or v_from > v_to then
            raise exception 'cron: "%" is not a field of a cron line', p_field using errcode = '22023';
        end if;
        v_values := v_values || array(select generate_series(v_from, v_to, v_step));
    end loop;
    return v_values;
end
$$;

comment on function private.cron_field(text, int, int) is 'The values one cron field names; 22023 when it names none.';

create function private.cron_next(p_cron text, p_tz text, p_after timestamptz)
returns timestamptz
language plpgsql
stable
strict
set search_path = ''
as $$
declare
    v_fields constant text[] := regexp_split_to_array(btrim(p_cron), '\s+');
    v_minutes int[];
    v_hours int[];
    v_days int[];
    v_months int[];
    v_weekdays int[];
    v_day date := (p_after at time zone p_tz)::date;
    v_on_day boolean;
    v_on_weekday boolean;
    v_shifts interval[] := '{0}';
    v_found timestamptz;
begin
    if cardinality(v_fields) <> 5 then
        raise exception 'cron: "%" must have five fields', p_cron using errcode = '22023';
    end if;
    v_minutes := private.cron_field(v_fields[1], 0, 59);
    v_hours := private.cron_field(v_fields[2], 0, 23);
    v_days := private.cron_field(v_fields[3], 1, 31);
    v_months := private.cron_field(v_fields[4], 1, 12);
    v_weekdays := array(select w % 7 from unnest(private.cron_field(v_fields[5], 0, 7)) as w);
    -- When the clocks are set back, a stretch of local time comes twice; Postgres means its second turn. A fixed time
    -- is due once. An interval ("every 15 minutes"; as cron has it, minute or hour begins with *) also runs through the
    -- first turn.
    if v_fields[1] like '*%' or v_fields[2] like '*%' then
        v_shifts := '{0, 30 minutes, 1 hour, 2 hours}';
    end if;
    for i in 0 .. 366 * 8 loop
        -- as cron has it: when both days are given, either will do
        v_on_day := extract(day from v_day)::int = any (v_days);
        v_on_weekday := extract(dow from v_day)::int = any (v_weekdays);
        if v_fields[3] <> '*' and v_fields[5] <> '*' then
            v_on_day := v_on_day or v_on_weekday;
            v_on_weekday := true;
        end if;
        if extract(month from v_day)::int = any (v_months) and v_on_day and v_on_weekday then
            select min(turn) into v_found
            from unnest(v_hours) as h, unnest(v_minutes) as m, unnest(v_shifts) as shift,
                lateral (select v_day + make_interval(hours => h, mins => m) as local) as clock,
                lateral (select local at time zone p_tz - shift as turn) as moment
            where turn > p_after and (shift = '0' or turn at time zone p_tz = local);
            if v_found is not null then
                return v_found;
            end if;
        end if;
        v_day := v_day + 1;
    end loop;
    raise exception 'cron: "%" is never due', p_cron using errcode = '22023';
end
$$;

comment on function private.cron_next(text, text, timestamptz) is
    'The first moment after p_after that a cron line names in a time zone. 22023 for a line that is none or never due.';

create function private.check_schedule()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform private.cron_next(new.cron, new.tz, now());
    return new;
end
$$;

comment on function private.check_schedule() is 'A schedule that could never run is refused when it is written.';

create trigger trg_job_schedules_check before insert or update of cron, tz on private.job_schedules
for each row execute function private.check_schedule();

create function public.svc_tick_schedules()
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_now constant timestamptz := private.clock();
    v_schedule private.job_schedules;
    v_due timestamptz;
    v_count int := 0;
begin
    for v_schedule in
        select * from private.job_schedules where next_run_at <= v_now order by name for update skip locked
    loop
        v_due := v_schedule.next_run_at;
        -- a moment more than five minutes ago was missed
        if v_schedule.catch_up <> 'skip' or v_due > v_now - interval '5 minutes' then
            perform public.svc_enqueue_job(
                p_type => v_schedule.type::text, p_payload => v_schedule.payload,
                p_dedupe_key => format('schedule:%s:%s', v_schedule.name, extract(epoch from v_due)::bigint)
            );
            v_count := v_count + 1;
        end if;
        update private.job_schedules
        set next_run_at = private.cron_next(
            v_schedule.cron, v_schedule.tz, case v_schedule.catch_up when 'all' then v_due else v_now end
        )
        where name = v_schedule.name;
    end loop;
    return v_count;
end
$$;

comment on function public.svc_tick_schedules() is
    'Enqueues what the clock asks for, each due moment once however many workers tick. Returns how many.';

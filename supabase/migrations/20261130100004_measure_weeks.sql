-- Weeks are measured, and move by the calendar: completion and hours are no longer written by clients, notes are marked
-- as read, numbers become a history, and old weeks and dialogues are archived.
-- Touches: public.weeks, clo_notes, engineer_notes, brand_packages, kpi_metrics, socratic_sessions; new functions;
-- private.job_schedules. Existing hours count as the person's own.
-- Undo: delete the two schedules, drop the functions, columns, indexes and constraints; grant the column again.

set lock_timeout = '5s';

alter table public.weeks
add column are_hours_written boolean not null default false,
add column reopened_at timestamptz;
update public.weeks set are_hours_written = true where actual_hours is not null;

comment on column public.weeks.actual_hours is
    'Hours spent: those of completed study blocks, until the person writes another number.';
comment on column public.weeks.completion_percentage is 'How much is done, 0 to 100; measured.';
comment on column public.weeks.are_hours_written is
    'Whether actual_hours is the person''s own number; kept by trigger.';
comment on column public.weeks.reopened_at is 'When it last went from completed to active; kept by trigger.';

create index idx_weeks_planned on public.weeks (start_date) where status = 'planned';
create index idx_weeks_active on public.weeks (end_date) where status = 'active';
create index idx_weeks_completed on public.weeks (end_date) where status = 'completed';

create function private.note_written_hours()
returns trigger
language plpgsql
-- as the caller, whom it has to know
set search_path = ''
as $$
begin
    if current_user in ('authenticated', 'app_admin')
        and (tg_op = 'INSERT' or new.actual_hours is distinct from old.actual_hours)
    then
        new.are_hours_written := new.actual_hours is not null;
    end if;
    return new;
end
$$;

comment on function private.note_written_hours() is
    'BEFORE INSERT OR UPDATE OF actual_hours on weeks: a number from the person stays; null lets it be measured again.';

create function private.stamp_reopened_week()
returns trigger
language plpgsql
-- security definer, because the clock is in the schema private, on which learners have no usage
security definer
set search_path = ''
as $$
begin
    new.reopened_at := private.clock();
    return new;
end
$$;

comment on function private.stamp_reopened_week() is
    'BEFORE UPDATE OF status on weeks, from completed to active: notes when, so that the schedule waits a day.';

drop trigger trg_weeks_columns on public.weeks;
create trigger trg_weeks_columns before update on public.weeks
for each row execute function private.keep_columns(
    'week_number', 'start_date', 'end_date', 'status', 'focus_area', 'estimated_hours', 'actual_hours'
);
create trigger trg_weeks_hours before insert or update of actual_hours on public.weeks
for each row execute function private.note_written_hours();
create trigger trg_weeks_reopened before update of status on public.weeks
for each row when (old.status = 'completed' and new.status = 'active')
execute function private.stamp_reopened_week();

revoke insert (completion_percentage) on public.weeks from authenticated;

alter table public.clo_notes
add column model text,
add column prompt_version text,
add column job_id uuid,
add column read_at timestamptz,
add constraint clo_notes_model_check check (char_length(model) <= 200),
add constraint clo_notes_prompt_version_check check (char_length(prompt_version) <= 100),
add constraint clo_notes_job_id_fkey foreign key (job_id) references public.jobs(id) on delete set null;

create unique index uq_clo_notes_job_id on public.clo_notes (job_id) where job_id is not null;

comment on column public.clo_notes.model is 'The model that wrote it.';
comment on column public.clo_notes.prompt_version is 'The prompt it was asked with.';
comment on column public.clo_notes.job_id is 'The job that wrote it; null once the job is forgotten.';
comment on column public.clo_notes.read_at is 'When the learner first read it; see mark_note_read.';

alter table public.engineer_notes
add column model text,
add column prompt_version text,
add column job_id uuid,
add column read_at timestamptz,
add constraint engineer_notes_model_check check (char_length(model) <= 200),
add constraint engineer_notes_prompt_version_check check (char_length(prompt_version) <= 100),
add constraint engineer_notes_job_id_fkey foreign key (job_id) references public.jobs(id) on delete set null;

create unique index uq_engineer_notes_job_id on public.engineer_notes (job_id) where job_id is not null;

comment on column public.engineer_notes.model is 'The model that wrote it.';
comment on column public.engineer_notes.prompt_version is 'The prompt it was asked with.';
comment on column public.engineer_notes.job_id is 'The job that wrote it; null once the job is forgotten.';
comment on column public.engineer_notes.read_at is 'When the learner first read it; see mark_note_read.';

alter table public.brand_packages
add column model text,
add column prompt_version text,
add column job_id uuid,
add constraint brand_packages_model_check check (char_length(model) <= 200),
add constraint brand_packages_prompt_version_check check (char_length(prompt_version) <= 100),
add constraint brand_packages_job_id_fkey foreign key (job_id) references public.jobs(id) on delete set null;

create unique index uq_brand_packages_job_id on public.brand_packages (job_id) where job_id is not null;

comment on column public.brand_packages.model is 'The model that wrote it.';
comment on column public.brand_packages.prompt_version is 'The prompt it was asked with.';
comment on column public.brand_packages.job_id is 'The job that wrote it; null once the job is forgotten.';

alter table public.kpi_metrics
add constraint kpi_metrics_week_id_metric_name_recorded_at_key unique (week_id, metric_name, recorded_at);

alter table public.socratic_sessions add column archived_at timestamptz;
comment on column public.socratic_sessions.archived_at is
    'When it was put into the archive, long after its end; archived ones stay readable.';
create index idx_socratic_sessions_ended on public.socratic_sessions (ended_at)
where ended_at is not null and archived_at is null;

create function private.week_bounds(p_week public.weeks)
returns tstzrange
language sql
stable
security definer
set search_path = ''
as $$
    select tstzrange(
        p_week.start_date::timestamp at time zone p.timezone, (p_week.end_date + 1)::timestamp at time zone p.timezone
    )
    from public.profiles as p where p.user_id = p_week.user_id;
$$;

comment on function private.week_bounds(public.weeks) is
    'From the first moment of a week''s first day to the last of its last day, in the learner''s time zone.';

create function private.week_completion(p_week public.weeks)
returns int
language sql
stable
security definer
set search_path = ''
as $$
    with shares (share) as (
        select 100.0 * count(*) filter (where b.status = 'completed') / nullif(count(*), 0)
        from public.study_blocks as b
        where b.user_id = p_week.user_id and b.start_at <@ private.week_bounds(p_week) and b.status <> 'cancelled'
        union all
        select 100.0 * count(n.read_at) / nullif(count(*), 0)
        from (
            select c.read_at from public.clo_notes as c where c.week_id = p_week.id
            union all
            select e.read_at from public.engineer_notes as e where e.week_id = p_week.id
        ) as n
        union all
        select 100.0 * count(s.ended_at) / nullif(count(*), 0)
        from public.socratic_sessions as s where s.week_id = p_week.id
        union all
        select 100.0 * count(*) filter (where r.status = 'completed') / nullif(count(*), 0)
        from public.reviews as r where r.week_id = p_week.id
    )

    select coalesce(round(avg(share)), 0)::int from shares;
$$;

comment on function private.week_completion(public.weeks) is
    'The rounded mean over what the week has of: study blocks completed, notes read, dialogues ended, reviews '
    'completed, each in percent. Cancelled blocks do not count. 0 when it has none of them.';

create function private.week_hours(p_week public.weeks)
returns numeric
language sql
stable
security definer
set search_path = ''
as $$
    select round(coalesce(sum(extract(epoch from b.end_at - b.start_at)), 0) / 3600, 2)
    from public.study_blocks as b
    where b.user_id = p_week.user_id and b.start_at <@ private.week_bounds(p_week) and b.status = 'completed';
$$;

comment on function private.week_hours(public.weeks) is
    'Hours of the completed study blocks that begin in a week, to two decimals.';

create function private.measure_week(p_week_id uuid)
returns public.weeks
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_week public.weeks;
begin
    -- its owner comes first, as when a person is deleted
    perform from public.profiles as p join public.weeks as w on w.user_id = p.user_id
    where w.id = p_week_id for key share of p;
    select * into v_week from public.weeks where id = p_week_id for no key update;
    update public.weeks
    set completion_percentage = m.completion,
        actual_hours = case when are_hours_written then actual_hours else m.hours end
    from (select private.week_completion(v_week) as completion, round(private.week_hours(v_week))::int as hours) as m
    where id = v_week.id
        and (
            completion_percentage <> m.completion or (not are_hours_written and actual_hours is distinct from m.hours)
        )
    returning weeks.* into v_week;
    if not found then
        select * into v_week from public.weeks where id = p_week_id;
    end if;
    return v_week;
end
$$;

comment on function private.measure_week(uuid) is
    'Writes the completion of a week and, unless the person wrote them, its hours. Locks the week and returns it; null '
    'when it does not exist.';

create function private.week_kpis(p_week public.weeks)
returns table (nth int, name text, category text, value numeric, target numeric, unit text)
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_bounds constant tstzrange := private.week_bounds(p_week);
begin
    return query
    select 1, 'hours_worked', 'effort', private.week_hours(p_week), p_week.estimated_hours::numeric, 'hours'
    union all
    select 2, 'completion', 'progress', private.week_completion(p_week)::numeric, null::numeric, '%'
    union all
    select 3, 'questions_asked', 'dialogue', count(*)::numeric, null, 'count'
    from public.socratic_messages as m
    join public.socratic_sessions as s on s.id = m.session_id
    -- question marks of Latin, East Asian, Arabic and Greek scripts
    where s.week_id = p_week.id and m.role = 'assistant' and m.content ~ '[?\uFF1F\u061F\u037E]'
    union all
    select 4, 'practice_accuracy', 'practice', round(100 * avg(a.performance_score), 1), null, '%'
    from public.practice_assignments as a
    where a.student_id = p_week.user_id and a.completed and a.completed_at <@ v_bounds
    having count(*) > 0
    union all
    (
        select 5, 'code_quality', 'code', (r.result_json -> 'score')::numeric, null, 'points'
        from public.reviews as r
        where r.week_id = p_week.id and r.status = 'completed' and jsonb_typeof(r.result_json -> 'score') = 'number'
        order by r.completed_at desc, r.id
        limit 1
    )
    union all
    select 6, 'study_blocks_kept', 'effort',
        round(100.0 * count(*) filter (where b.status = 'completed') / count(*), 1), null, '%'
    from public.study_blocks as b
    where b.user_id = p_week.user_id and b.start_at <@ v_bounds
        and (
            b.status in ('completed', 'missed')
            or (b.status in ('planned', 'in_progress') and b.end_at < private.clock())
        )
    having count(*) > 0;
end
$$;

comment on function private.week_kpis(public.weeks) is
    'What is measured of a week, now. A mean or share of nothing gives no row.';

create function public.svc_measure_kpis(
    p_week_id uuid, p_user_id uuid default null, p_recorded_at timestamptz default null
)
returns setof public.kpi_metrics
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_at constant timestamptz := coalesce(p_recorded_at, private.clock());
    v_week public.weeks;
    v_before uuid;
begin
    if p_week_id is null then
        raise exception 'p_week_id must not be null' using errcode = '22004';
    end if;
    perform private.check_time('p_recorded_at', p_recorded_at);
    if exists (select from public.weeks where id = p_week_id and user_id = coalesce(p_user_id, user_id)) then
        v_week := private.measure_week(p_week_id);
    end if;
    if v_week.id is null then
        raise exception 'no week has the id in p_week_id' using errcode = 'PT404';
    end if;
    if v_week.status = 'archived' then
        raise exception 'the week is archived' using errcode = 'PT409';
    end if;
    select id into v_before from public.weeks
    where user_id = v_week.user_id and week_number < v_week.week_number order by week_number desc limit 1;
    return query
    with measured as materialized (
        select
            k.*,
            coalesce(
                (
                    select m.current_value from public.kpi_metrics as m
                    where m.week_id = v_week.id and m.metric_name = k.name and m.recorded_at < v_at
                    order by m.recorded_at desc limit 1
                ),
                (
                    select m.current_value from public.kpi_metrics as m
                    where m.week_id = v_before and m.metric_name = k.name order by m.recorded_at desc limit 1
                )
            ) as previous
        from private.week_kpis(v_week) as k
    ),

    written as (
        insert into public.kpi_metrics as m (
            week_id, user_id, metric_name, metric_category, current_value, target_value, previous_value, unit,
            recorded_at
        )
        select v_week.id, v_week.user_id, k.name, k.category, k.value, k.target, k.previous, k.unit, v_at
        from measured as k
        on conflict (week_id, metric_name, recorded_at) do update
        set current_value = excluded.current_value, target_value = excluded.target_value,
            previous_value = excluded.previous_value
        returning m.*
    )

    select w.* from written as w join measured as k on k.name = w.metric_name order by k.nth;
end
$$;

comment on function public.svc_measure_kpis(uuid, uuid, timestamptz) is
    'Measures a week now and returns the new rows of kpi_metrics. previous_value is the newest earlier value of the '
    'week, else the newest of the week before. The same p_recorded_at writes the same rows again. PT404 when the week '
    'does not exist or is not p_user_id''s, PT409 when it is archived.';

create function public.svc_advance_weeks(p_limit int default 200)
returns table (activated int, completed int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_now constant timestamptz := private.clock();
    -- no zone is ahead of this one: narrows the scan before each learner's zone is asked
    v_latest constant date := (v_now at time zone 'Pacific/Kiritimati')::date;
    v_ids uuid[];
begin
    if p_limit is null or p_limit not between 1 and 1000 then
        raise exception 'p_limit must be between 1 and 1000' using errcode = '22003';
    end if;
    v_ids := array(
        select w.id from public.weeks as w join public.profiles as p on p.user_id = w.user_id
        where w.status = 'planned' and w.start_date <= v_latest
            and w.start_date <= (v_now at time zone p.timezone)::date
        order by w.start_date, w.id limit p_limit
        for key share of p skip locked for no key update of w skip locked
    );
    update public.weeks set status = 'active' where id = any (v_ids);
    activated := cardinality(v_ids);
    v_ids := array(
        select w.id from public.weeks as w join public.profiles as p on p.user_id = w.user_id
        where w.status = 'active' and w.end_date < v_latest and w.end_date < (v_now at time zone p.timezone)::date
            -- somebody has more to do
            and (w.reopened_at is null or w.reopened_at <= v_now - interval '24 hours')
        order by w.end_date, w.id limit p_limit
        for key share of p skip locked for no key update of w skip locked
    );
    perform private.measure_week(id) from unnest(v_ids) as id;
    update public.weeks set status = 'completed' where id = any (v_ids);
    completed := cardinality(v_ids);
    return next;
end
$$;

comment on function public.svc_advance_weeks(int) is
    'Activates planned weeks from their first day on and completes active ones after their last, by the learner''s '
    'time zone; at most p_limit of each. A week that was reopened by hand is not completed within 24 hours.';

create function public.svc_refresh_weeks(
    p_after uuid default null, p_limit int default 200, p_recorded_at timestamptz default null
)
returns table (measured int, last_id uuid)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_ids uuid[];
begin
    if p_limit is null or p_limit not between 1 and 1000 then
        raise exception 'p_limit must be between 1 and 1000' using errcode = '22003';
    end if;
    perform private.check_time('p_recorded_at', p_recorded_at);
    v_ids := array(
        select w.id from public.weeks as w join public.profiles as p on p.user_id = w.user_id
        where (p_after is null or w.id > p_after)
            and (
                w.status = 'active'
                or (p_recorded_at is not null and w.status = 'completed' and w.end_date >= private.today() - 8)
            )
        order by w.id limit p_limit
        for key share of p skip locked for no key update of w skip locked
    );
    measured := cardinality(v_ids);
    last_id := v_ids[measured];
    if p_recorded_at is null then
        perform private.measure_week(id) from unnest(v_ids) as id;
    else
        perform public.svc_measure_kpis(id, null, p_recorded_at) from unnest(v_ids) as id;
    end if;
    return next;
end
$$;

comment on function public.svc_refresh_weeks(uuid, int, timestamptz) is
    'Measures the completion and hours of active weeks, in the order of their ids after p_after. With p_recorded_at '
    'also their numbers, and those of weeks that ended in the last eight days. last_id is null when none was left.';

create function public.svc_archive_weeks(p_days int default 730, p_limit int default 500)
returns table (weeks int, sessions int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if p_days is null or p_days not between 1 and 36500 then
        raise exception 'p_days must be between 1 and 36500' using errcode = '22003';
    end if;
    if p_limit is null or p_limit not between 1 and 1000 then
        raise exception 'p_limit must be between 1 and 1000' using errcode = '22003';
    end if;
    update public.weeks as w set status = 'archived'
    where w.id = any (array(
        select old.id from public.weeks as old
        where old.status = 'completed' and old.end_date < private.today() - p_days
        order by old.end_date, old.id limit p_limit for no key update skip locked
    ));
    get diagnostics weeks = row_count;
    update public.socratic_sessions as s set archived_at = private.clock()
    where s.id = any (array(
        select old.id from public.socratic_sessions as old
        where old.ended_at < private.clock() - make_interval(days => p_days) and old.archived_at is null
        order by old.ended_at, old.id limit p_limit for no key update skip locked
    ));
    get diagnostics sessions = row_count;
    return next;
end
$$;

comment on function public.svc_archive_weeks(int, int) is
    'Archives completed weeks and ended dialogues this many days after their end; at most p_limit of each. They stay '
    'readable.';

create function private.mark_note_read(p_kind text, p_id uuid)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_week uuid;
    v_read_at timestamptz;
begin
    if p_kind is null or p_id is null then
        raise exception 'p_kind and p_id must not be null' using errcode = '22004';
    end if;
    if p_kind not in ('clo', 'engineer') then
        raise exception 'p_kind must be clo or engineer' using errcode = '22023';
    end if;
    -- the person and the week come before the note, as when one of them is deleted
    perform from public.profiles where user_id = v_caller for key share;
    select w.id into v_week from public.weeks as w
    where w.user_id = v_caller
        and w.id = case p_kind
            when 'clo' then (select week_id from public.clo_notes where id = p_id)
            else (select week_id from public.engineer_notes where id = p_id)
        end
    for no key update;
    if p_kind = 'clo' then
        update public.clo_notes set read_at = coalesce(read_at, private.clock()) where id = p_id and week_id = v_week
        returning read_at into v_read_at;
    else
        update public.engineer_notes set read_at = coalesce(read_at, private.clock())
        where id = p_id and week_id = v_week
        returning read_at into v_read_at;
    end if;
    if not found then
        raise exception 'no note of yours has the id in p_id' using errcode = 'PT404';
    end if;
    perform private.measure_week(v_week);
    return v_read_at;
end
$$;

comment on function private.mark_note_read(text, uuid) is 'Behind public.mark_note_read().';

create function public.mark_note_read(p_kind text, p_id uuid)
returns timestamptz
language sql
volatile
set search_path = ''
begin atomic
    select private.mark_note_read(p_kind, p_id);
end;

comment on function public.mark_note_read(text, uuid) is
    'Records that the caller read a note of their week and returns when: the first time stays. p_kind is clo or '
    'engineer. PT404 for another person''s, 22023 for another kind.';

grant execute on function public.svc_advance_weeks(int) to service_role;
grant execute on function public.svc_refresh_weeks(uuid, int, timestamptz) to service_role;
grant execute on function public.svc_archive_weeks(int, int) to service_role;

grant execute on function public.svc_measure_kpis(uuid, uuid, timestamptz) to service_role;

grant execute on function private.mark_note_read(text, uuid) to authenticated;
grant execute on function public.mark_note_read(text, uuid) to authenticated;

insert into private.job_schedules (name, cron, next_run_at, type)
values
('week_advance', '*/15 * * * *', private.cron_next('*/15 * * * *', 'UTC', now()), 'week_advance'),
('kpi_refresh', '20 3 * * *', private.cron_next('20 3 * * *', 'UTC', now()), 'kpi_refresh');

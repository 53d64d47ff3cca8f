-- Streaks: on which local days a student worked, in all and for each goal. What is stored are the days; length, state
-- and freezes are computed from them, so no job ends a streak at midnight and a late answer mends it.
--
-- A freeze is earned by every seven days of work in a row, and at most two are kept. A day without work uses one. A
-- date that a zone never had (Apia, 30 December 2011) is no missed day.

create table private.activity_days (
    id bigint generated always as identity primary key,
    student_id uuid not null,
    goal_id uuid,
    day date not null,
    kind public.activity_kind not null default 'active',
    zone text not null,
    credited_at timestamptz not null,
    created_at timestamptz not null default now(),

    constraint activity_days_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint activity_days_goal_id_fkey foreign key (goal_id) references public.goals(id) on delete cascade,
    constraint activity_days_student_id_goal_id_day_key unique nulls not distinct (student_id, goal_id, day),
    constraint activity_days_zone_check check (char_length(zone) between 1 and 64)
);

create index idx_activity_days_goal_id on private.activity_days (goal_id) where goal_id is not null;
-- for the last credit before an instant
create index idx_activity_days_credited on private.activity_days (student_id, credited_at);

comment on table private.activity_days is 'Local days on which a student worked, or used a freeze.';
comment on column private.activity_days.id is 'Identity of the row.';
comment on column private.activity_days.student_id is 'The student.';
comment on column private.activity_days.goal_id is 'The goal that the work was for; null: any work.';
comment on column private.activity_days.day is 'The date where the student was.';
comment on column private.activity_days.kind is 'active: work. freeze: a freeze was used.';
comment on column private.activity_days.zone is 'The time zone that gave the date.';
comment on column private.activity_days.credited_at is 'The instant of the work that counted.';
comment on column private.activity_days.created_at is 'When the row was written.';

create table private.streak_freezes (
    id bigint generated always as identity primary key,
    student_id uuid not null,
    goal_id uuid,
    day date not null,
    kind public.freeze_kind not null,
    created_at timestamptz not null default now(),

    constraint streak_freezes_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint streak_freezes_goal_id_fkey foreign key (goal_id) references public.goals(id) on delete cascade,
    constraint streak_freezes_student_id_goal_id_day_kind_key
        unique nulls not distinct (student_id, goal_id, day, kind)
);

create index idx_streak_freezes_goal_id on private.streak_freezes (goal_id) where goal_id is not null;

comment on table private.streak_freezes is 'The ledger of freezes: earned on a day, or used for a day.';
comment on column private.streak_freezes.id is 'Identity of the row.';
comment on column private.streak_freezes.student_id is 'The student.';
comment on column private.streak_freezes.goal_id is 'The goal whose streak it is; null: that of any work.';
comment on column private.streak_freezes.day is 'The day that earned it, or that it was used for.';
comment on column private.streak_freezes.kind is 'earned or used.';
comment on column private.streak_freezes.created_at is 'When the row was written.';

create function private.has_day(p_day date, p_zone text)
returns boolean
language sql
stable
set search_path = ''
as $$
    select ((p_day + time '12:00') at time zone p_zone at time zone p_zone)::date = p_day;
$$;

comment on function private.has_day(date, text) is
    'Whether a zone had this date; zones that crossed the date line skip one.';

create function private.missed_days(p_last date, p_next date, p_zone text)
returns date[]
language sql
stable
strict
set search_path = ''
as $$
    -- two freezes and a skipped date bridge three days; what is longer ends the streak without being listed
    select case
        when p_next - p_last <= 4 then array(
            select p_last + n from generate_series(1, p_next - p_last - 1) as n
            where private.has_day(p_last + n, p_zone)
        )
        else array_fill(null::date, array[3])
    end;
$$;

comment on function private.missed_days(date, date, text) is
    'The dates between two days of work, without those that the zone never had; three nulls when there are many.';

create function private.streak_of(p_student_id uuid, p_goal_id uuid, p_now timestamptz, p_zone text)
returns table (length int, state text, freezes_left int, earned date[], used date[])
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_today date := (p_now at time zone p_zone)::date;
    v_row record;
    v_last date;
    v_missed date[];
    v_kept int := 0;
begin
    length := 0;
    freezes_left := 0;
    earned := '{}';
    used := '{}';
    for v_row in
        select d.day, d.zone from private.activity_days as d
        where d.student_id = p_student_id and d.goal_id is not distinct from p_goal_id and d.kind = 'active'
        order by d.day
    loop
        v_missed := coalesce(private.missed_days(v_last, v_row.day, v_row.zone), '{}');
        if cardinality(v_missed) > freezes_left then
            length := 0;
            v_kept := 0;
        else
            length := length + cardinality(v_missed);
            freezes_left := freezes_left - cardinality(v_missed);
            used := used || v_missed;
        end if;
        length := length + 1;
        v_kept := v_kept + 1;
        if v_kept = 7 then
            v_kept := 0;
            if freezes_left < 2 then
                freezes_left := freezes_left + 1;
                earned := earned || v_row.day;
            end if;
        end if;
        v_last := v_row.day;
    end loop;
    -- west of where the last work was done it may be yesterday again
    v_today := greatest(v_today, v_last);
    v_missed := coalesce(private.missed_days(v_last, v_today, p_zone), '{}');
    if v_last is null or cardinality(v_missed) > freezes_left then
        length := 0;
        state := 'broken';
    elsif v_last = v_today then
        state := 'active';
    else
        length := length + cardinality(v_missed);
        freezes_left := freezes_left - cardinality(v_missed);
        state := 'at_risk';
    end if;
    return next;
end
$$;

comment on function private.streak_of(uuid, uuid, timestamptz, text) is
    'The streak of a student, or of a goal, at an instant: days in a row with those that freezes bridge, its state '
    '(active: worked today; at_risk: not yet today; broken), the freezes left, and the days on which freezes were '
    'earned and for which they were used.';

create function private.streak_zone(p_student_id uuid, p_at timestamptz)
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(
        case
            when p.pending_timezone is not null and p.timezone_changed_at > p_at then (
                select d.zone from private.activity_days as d
                where d.student_id = p_student_id and d.kind = 'active' order by d.credited_at desc limit 1
            )
        end,
        p.timezone
    )
    from public.profiles as p where p.user_id = p_student_id;
$$;

comment on function private.streak_zone(uuid, timestamptz) is
    'The time zone whose days count for a person at an instant: theirs, and until a new one counts, that of the last '
    'day that was counted.';

create function private.credit_day(p_student_id uuid, p_goal_id uuid, p_at timestamptz, p_zone text)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_day constant date := (p_at at time zone p_zone)::date;
    v_last private.activity_days;
    v_streak record;
begin
    select * into v_last from private.activity_days as d
    where d.student_id = p_student_id and d.goal_id is not distinct from p_goal_id and d.kind = 'active'
        and d.credited_at <= p_at
    order by d.credited_at desc limit 1;
    -- a flight across zones must not turn one evening into two days
    if v_last.zone <> p_zone and p_at < v_last.credited_at + interval '8 hours' then
        return;
    end if;
    insert into private.activity_days as d (student_id, goal_id, day, zone, credited_at)
    values (p_student_id, p_goal_id, v_day, p_zone, p_at)
    on conflict (student_id, goal_id, day) do update
    set kind = 'active', zone = excluded.zone, credited_at = excluded.credited_at where d.kind = 'freeze';
    if not found then
        return;
    end if;
    -- a late day may give back a freeze that was used for it, and change all that follows
    select * into v_streak from private.streak_of(p_student_id, p_goal_id, p_at, p_zone);
    delete from private.activity_days
    where student_id = p_student_id and goal_id is not distinct from p_goal_id and kind = 'freeze'
        and day <> all (v_streak.used);
    insert into private.activity_days (student_id, goal_id, day, kind, zone, credited_at)
    select p_student_id, p_goal_id, x, 'freeze', p_zone, p_at from unnest(v_streak.used) as x
    on conflict (student_id, goal_id, day) do nothing;
    delete from private.streak_freezes
    where student_id = p_student_id and goal_id is not distinct from p_goal_id
        and case kind when 'earned' then day <> all (v_streak.earned) else day <> all (v_streak.used) end;
    insert into private.streak_freezes (student_id, goal_id, day, kind)
    select p_student_id, p_goal_id, x, 'earned'::public.freeze_kind from unnest(v_streak.earned) as x
    union all
    select p_student_id, p_goal_id, x, 'used' from unnest(v_streak.used) as x
    on conflict (student_id, goal_id, day, kind) do nothing;
end
$$;

comment on function private.credit_day(uuid, uuid, timestamptz, text) is
    'Counts the local day of an instant for a streak, once, and brings the ledger of freezes in line. After a change '
    'of zone the next day counts only eight hours after the last credit.';

create function private.goal_streak(p_student_id uuid, p_goal_id uuid)
returns int
language sql
stable
security definer
set search_path = ''
as $$
    select s.length
    from private.streak_of(
        p_student_id, p_goal_id, private.clock(), private.streak_zone(p_student_id, private.clock())
    ) as s
    where exists (select from private.activity_days where goal_id = p_goal_id);
$$;

comment on function private.goal_streak(uuid, uuid) is
    'The streak of a goal now; null when no day was ever counted for it.';

create function private.goal_progress(p_goal_id uuid)
returns numeric
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_goal public.goals;
    v_done numeric;
begin
    select * into v_goal from public.goals where id = p_goal_id;
    if v_goal.target_kind is null then
        return v_goal.completion_percentage;
    end if;
    if v_goal.target_kind = 'sessions' then
        select count(*) into v_done from public.tutoring_sessions as x
        where x.student_id = v_goal.student_id and (v_goal.subject_id is null or x.subject_id = v_goal.subject_id)
            and x.session_date between v_goal.created_at and private.clock();
    else
        select case v_goal.target_kind
            when 'answers' then count(*) filter (where a.completed)
            else coalesce(floor(sum(x.duration_ms) / 60000.0), 0)
        end into v_done
        from public.practice_assignments as a
        left join public.practice_attempts as x on x.practice_assignment_id = a.id and x.corrects_id is null
        where a.goal_id = p_goal_id;
    end if;
    return least(100, round(100 * v_done / v_goal.target_count, 2));
end
$$;

comment on function private.goal_progress(uuid) is
    'How much of a goal is done, 0 to 100: work done for it over its target; without a target, what was set by hand.';

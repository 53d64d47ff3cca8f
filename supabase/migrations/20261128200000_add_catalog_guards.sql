-- Guards and a dry run for the catalogue sync, and its nightly schedule.
-- Touches: public.svc_normalize_course_codes, public.svc_replace_catalog, private.job_schedules (one row).
-- Undo: delete the schedule catalog_sync, then drop both functions.

set lock_timeout = '5s';

-- The service merges sections into courses before it sends them, and must read codes exactly as the database does.

create function public.svc_normalize_course_codes(p_codes text[])
returns text[]
language plpgsql
immutable
set search_path = ''
as $$
begin
    if p_codes is null or array_position(p_codes, null) is not null then
        raise exception 'p_codes must not be null, nor hold one' using errcode = '22004';
    end if;
    return array(
        select public.normalize_course_code(code) from unnest(p_codes) with ordinality as t (code, position)
        order by position
    );
end
$$;

comment on function public.svc_normalize_course_codes(text[]) is
    'normalize_course_code of each, in the given order. 22004 for a null.';

-- The guards of the service's catalogue sync. They look and the sync writes under one lock, so that no other sync can
-- come between.

create function public.svc_replace_catalog(
    p_courses jsonb,
    p_confirm_removals boolean default false,
    p_dry_run boolean default false
)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_codes text[];
    v_live bigint;
    v_missing bigint;
    v_departments jsonb;
    v_counts jsonb;
begin
    if p_courses is null or p_confirm_removals is null or p_dry_run is null then
        raise exception 'p_courses, p_confirm_removals and p_dry_run must not be null' using errcode = '22004';
    end if;
    if jsonb_typeof(p_courses) <> 'array' then
        raise exception 'p_courses must be a JSON array with at least one course' using errcode = '22023';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('svc_sync_catalog', 0));
    select array_agg(distinct public.normalize_course_code(c ->> 'code')) into v_codes
    from jsonb_array_elements(p_courses) as c;
    select coalesce(sum(live), 0), coalesce(sum(missing), 0),
        jsonb_agg(
            jsonb_build_object('department', department, 'live', live, 'missing', missing) order by department
        ) filter (where live >= 4 and missing * 2 > live)
    into v_live, v_missing, v_departments
    from (
        select split_part(code, ' ', 1) as department, count(*) as live,
            count(*) filter (where code <> all (v_codes)) as missing
        from public.catalog_courses
        where is_official and retired_at is null
        group by 1
    ) as found;
    if not p_confirm_removals and (v_missing * 5 > v_live or v_departments is not null) then
        return jsonb_build_object(
            'refused', true, 'live', v_live, 'missing', v_missing, 'departments', coalesce(v_departments, '[]')
        );
    end if;
    begin
        v_counts := public.svc_sync_catalog(p_courses, 1);
        if p_dry_run then
            -- takes back what was written and keeps the counts, so that a dry run cannot differ from a real one
            raise exception 'dry run' using errcode = 'HSDRY';
        end if;
    exception
        when sqlstate 'HSDRY' then null;
    end;
    return v_counts || '{"refused": false}';
end
$$;

comment on function public.svc_replace_catalog(jsonb, boolean, boolean) is
    'svc_sync_catalog behind two guards: more than a fifth of the official courses that are not retired would be '
    'missing, or more than half of a department (the first word of a code) with at least four of them. Then nothing '
    'changes and the answer is {refused: true, live, missing, departments: [{department, live, missing}]}. Else '
    '{refused: false} and the counts of svc_sync_catalog. p_confirm_removals skips the guards. p_dry_run changes '
    'nothing and returns the counts. Errors as svc_sync_catalog.';

-- The school's courses are read every night. Without CATALOG_URL the job does nothing and says so. A night that was
-- missed is not made up for, because the next one reads the same list.

insert into private.job_schedules (name, cron, next_run_at, type, catch_up)
values ('catalog_sync', '40 3 * * *', private.cron_next('40 3 * * *', 'UTC', now()), 'catalog_sync', 'skip');

grant execute on function public.svc_normalize_course_codes(text[]) to service_role;
grant execute on function public.svc_replace_catalog(jsonb, boolean, boolean) to service_role;

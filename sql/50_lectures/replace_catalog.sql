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

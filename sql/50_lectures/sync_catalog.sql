create function public.svc_sync_catalog(p_courses jsonb, p_max_removed numeric default 0.20)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_live bigint;
    v_missing bigint;
    v_restored bigint;
    v_codes text[];
    v_counts jsonb;
    v_deleted bigint;
    v_retired bigint;
begin
    if p_courses is null or p_max_removed is null then
        raise exception 'p_courses and p_max_removed must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_max_removed', p_max_removed, 0, 1);
    if jsonb_typeof(p_courses) <> 'array' or jsonb_array_length(p_courses) = 0 then
        raise exception 'p_courses must be a JSON array with at least one course' using errcode = '22023';
    end if;
    if exists (
        select from jsonb_array_elements(p_courses) as c
        where jsonb_typeof(c) <> 'object'
            or coalesce(jsonb_typeof(c -> 'code'), '') <> 'string'
            or coalesce(jsonb_typeof(c -> 'title'), '') <> 'string'
            or char_length(public.normalize_course_code(c ->> 'code')) not between 1 and 50
            or btrim(c ->> 'title') = '' or char_length(c ->> 'title') > 500
            or coalesce(jsonb_typeof(c -> 'instructor'), 'null') not in ('string', 'null')
            or char_length(c ->> 'instructor') > 500
    ) then
        raise exception 'p_courses: every course needs a code of 1 to 50 characters and a title of 1 to 500'
            using errcode = '22023';
    end if;
    -- one sync at a time: two would retire each other's courses
    perform pg_advisory_xact_lock(hashtextextended('svc_sync_catalog', 0));

    select array_agg(distinct public.normalize_course_code(c ->> 'code')) into v_codes
    from jsonb_array_elements(p_courses) as c;
    select count(*), count(*) filter (where code <> all (v_codes)) into v_live, v_missing
    from public.catalog_courses where is_official and retired_at is null;
    if v_missing > v_live * p_max_removed then
        raise exception 'p_courses lacks % of % official courses, so nothing was changed', v_missing, v_live
            using errcode = '22023', hint = 'Check the source, or pass a larger p_max_removed.';
    end if;

    select count(*) into v_restored from public.catalog_courses where code = any (v_codes) and retired_at is not null;
    with given as (
        -- of two spellings of one code, the last one counts
        select distinct on (code) code, title, instructor
        from (
            select
                public.normalize_course_code(c ->> 'code') as code, btrim(c ->> 'title') as title,
                c ->> 'instructor' as instructor, position
            from jsonb_array_elements(p_courses) with ordinality as t (c, position)
        ) as list
        order by code, position desc
    ),
    written as (
        insert into public.catalog_courses as existing (code, title, instructor, is_official)
        select code, title, instructor, true from given
        on conflict (code) do update
        set title = excluded.title, instructor = coalesce(excluded.instructor, existing.instructor),
            is_official = true, retired_at = null
        where (existing.title, existing.instructor, existing.is_official, existing.retired_at)
            is distinct from (excluded.title, coalesce(excluded.instructor, existing.instructor), true, null)
        -- a row that existed was locked first, and xmax shows it
        returning existing.xmax = 0 as is_new
    )
    select jsonb_build_object(
        'inserted', count(*) filter (where is_new),
        'updated', count(*) filter (where not is_new) - v_restored,
        'restored', v_restored,
        'unchanged', cardinality(v_codes) - count(*)
    ) into v_counts from written;

    update public.catalog_courses set retired_at = private.clock()
    where is_official and retired_at is null and code <> all (v_codes);
    get diagnostics v_retired = row_count;
    -- First the locks, then a new snapshot: this waits for lectures that are just being added to one of the courses.
    perform from public.catalog_courses
    where is_official and retired_at <= private.clock() - interval '1 year' order by id for update;
    delete from public.catalog_courses as c
    where c.is_official and c.retired_at <= private.clock() - interval '1 year'
        and not exists (select from public.lectures where catalog_course_id = c.id)
        and not exists (select from public.documents where catalog_course_id = c.id)
        and not exists (select from public.courses where catalog_course_id = c.id)
        and not exists (select from public.classes where catalog_course_id = c.id);
    get diagnostics v_deleted = row_count;
    return v_counts || jsonb_build_object('deleted', v_deleted, 'retired', v_retired);
end
$$;

comment on function public.svc_sync_catalog(jsonb, numeric) is
    'Makes the official courses equal to the school''s list [{code, title, instructor?}]. A course that left the list '
    'is retired, and deleted a year later when nothing uses it. One that returns is no longer retired, and one that '
    'people had added becomes official. Returns the counts inserted, updated, restored, unchanged, retired and '
    'deleted. 22023, and nothing changes, for an empty or malformed list, or when more than p_max_removed (0 to 1, '
    'else 22003) of the official courses that are not retired are missing.';

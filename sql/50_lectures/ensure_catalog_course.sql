create function private.ensure_catalog_course(p_code text, p_title text)
returns public.catalog_courses
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_code constant text := public.normalize_course_code(p_code);
    v_course public.catalog_courses;
begin
    if p_code is null or p_title is null then
        raise exception 'p_code and p_title must not be null' using errcode = '22004';
    end if;
    if v_code = '' or char_length(v_code) > 50 or btrim(p_title) = '' or char_length(p_title) > 500 then
        raise exception 'p_code must have 1 to 50 characters once normalised, and p_title 1 to 500'
            using errcode = '22023';
    end if;
    insert into public.catalog_courses (code, title, created_by)
    values (v_code, btrim(p_title), v_caller)
    on conflict (code) do nothing;
    select * into v_course from public.catalog_courses where code = v_code;
    return v_course;
end
$$;

comment on function private.ensure_catalog_course(text, text) is 'Behind public.ensure_catalog_course().';

create function public.ensure_catalog_course(p_code text, p_title text)
returns public.catalog_courses
language sql
volatile
set search_path = ''
begin atomic
    select private.ensure_catalog_course(p_code, p_title);
end;

comment on function public.ensure_catalog_course(text, text) is
    'The course with this code, however it is spelled. When there is none, makes one that is not official, with this '
    'title. 22023 for an empty or overlong code or title.';

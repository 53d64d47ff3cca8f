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

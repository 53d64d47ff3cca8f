-- Canvas's own JSON (raw_payload of courses and assignments, course_data of courses_cache) keeps numbers past 2^53 as
-- text, because JavaScript rounds them. Rows that are there already are mended.
-- Touches: 00_foundation, 20_canvas, 60_assistant. Undo: drop the three triggers trg_<table>_exact, then the two
-- functions; the text that is stored stays.

set lock_timeout = '5s';

create function private.exact_numbers(p_json jsonb)
returns jsonb
language plpgsql
immutable
strict
set search_path = ''
as $$
begin
    case jsonb_typeof(p_json)
        when 'object' then
            return (select coalesce(jsonb_object_agg(key, private.exact_numbers(value)), '{}') from jsonb_each(p_json));
        when 'array' then
            return (
                select coalesce(jsonb_agg(private.exact_numbers(item) order by nth), '[]')
                from jsonb_array_elements(p_json) with ordinality as items (item, nth)
            );
        when 'number' then
            return case when abs(p_json::numeric) > 9007199254740991 then to_jsonb(p_json::text) else p_json end;
        else
            return p_json;
    end case;
end
$$;

comment on function private.exact_numbers(jsonb) is
    'The same JSON with numbers past 2^53 as text, because JavaScript rounds them.';

create function private.keep_exact_numbers()
returns trigger
language plpgsql
-- a person who changes another column of the row has no right to call exact_numbers
security definer
set search_path = ''
as $$
begin
    return jsonb_populate_record(
        new, jsonb_build_object(tg_argv[0], private.exact_numbers(to_jsonb(new) -> tg_argv[0]))
    );
end
$$;

comment on function private.keep_exact_numbers() is
    'BEFORE INSERT OR UPDATE: private.keep_exact_numbers(column) keeps numbers past 2^53 in that jsonb column as text.';

create trigger trg_courses_exact before insert or update of raw_payload on public.courses
for each row when (jsonb_path_exists(new.raw_payload, 'strict $.** ? (@ > 9007199254740991 || @ < -9007199254740991)'))
execute function private.keep_exact_numbers('raw_payload');
comment on column public.courses.raw_payload is
    'What Canvas sent, without enrolments and other people''s records; numbers past 2^53 as text.';
update public.courses set raw_payload = raw_payload
where jsonb_path_exists(raw_payload, 'strict $.** ? (@ > 9007199254740991 || @ < -9007199254740991)');

create trigger trg_assignments_exact before insert or update of raw_payload on public.assignments
for each row when (jsonb_path_exists(new.raw_payload, 'strict $.** ? (@ > 9007199254740991 || @ < -9007199254740991)'))
execute function private.keep_exact_numbers('raw_payload');
comment on column public.assignments.raw_payload is
    'What Canvas sent, without other people''s records and signed parts; numbers past 2^53 as text.';
update public.assignments set raw_payload = raw_payload
where jsonb_path_exists(raw_payload, 'strict $.** ? (@ > 9007199254740991 || @ < -9007199254740991)');

create trigger trg_courses_cache_exact before insert or update of course_data on public.courses_cache
for each row when (jsonb_path_exists(new.course_data, 'strict $.** ? (@ > 9007199254740991 || @ < -9007199254740991)'))
execute function private.keep_exact_numbers('course_data');
comment on column public.courses_cache.course_data is
    'The course as Canvas gave it, without other people''s records; numbers past 2^53 as text.';
update public.courses_cache set course_data = course_data
where jsonb_path_exists(course_data, 'strict $.** ? (@ > 9007199254740991 || @ < -9007199254740991)');

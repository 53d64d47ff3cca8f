-- One spelling of a course code, so that a student's 'csc173-01' and the catalogue's 'CSC 173' are one course. Applying
-- it twice changes nothing, which the check of catalog_courses.code relies on. So sections are removed only after the
-- first number ('CSC-173' keeps its number), and all of them at once.

create function public.normalize_course_code(p_code text)
returns text
language sql
immutable
strict
parallel safe
set search_path = ''
as $$
    select regexp_replace(
        btrim(course.head || regexp_replace(substr(plain.code, length(course.head) + 1), '( ?- ?[0-9]+[A-Z]*)+$', '')),
        '^([[:alpha:]]+)([0-9])', '\1 \2'
    )
    from (select upper(btrim(regexp_replace(p_code, '\s+', ' ', 'g'))) as code) as plain
    -- letters, the first number, and what follows it up to a hyphen; the whole code when there is no number
    cross join lateral (select coalesce(substring(plain.code from '^[^0-9]*[0-9][^-]*'), plain.code) as head) as course;
$$;

comment on function public.normalize_course_code(text) is
    'Trimmed, upper case, single blanks, no trailing section (-<digits><letters>), one blank between letters and '
    'number.';

-- One spelling of a course code, so that a student's 'csc173-01' and the catalogue's 'CSC 173' are one course. Applying
-- it twice changes nothing, which the check of catalog_courses.code relies on.
--
-- Codes of the usual form, two to five letters and a number of three digits, lose everything after it: sections are
-- written in too many ways to name them. Other codes lose trailing sections after their first number alone.

create function public.normalize_course_code(p_code text)
returns text
language sql
immutable
strict
parallel safe
set search_path = ''
as $$
    select coalesce(
        (regexp_match(plain.code, usual.form))[1] || ' ' || (regexp_match(plain.code, usual.form))[2],
        regexp_replace(
            btrim(
                course.head
                || regexp_replace(substr(plain.code, length(course.head) + 1), '( ?- ?[0-9]+[A-Z]*)+$', '')
            ),
            '^([[:alpha:]]+)([0-9])', '\1 \2'
        )
    )
    from (select upper(btrim(regexp_replace(p_code, '\s+', ' ', 'g'))) as code) as plain
    cross join (values ('^([A-Z]{2,5})[ -]?([0-9]{3}[A-Z]?)(?![0-9A-Z])')) as usual (form)
    -- letters, the first number, and what follows it up to a hyphen; the whole code when there is no number
    cross join lateral (select coalesce(substring(plain.code from '^[^0-9]*[0-9][^-]*'), plain.code) as head) as course;
$$;

comment on function public.normalize_course_code(text) is
    'Trimmed, upper case, single blanks. Letters and three digits at the head are the whole code, with one blank '
    'between them; other codes lose a trailing section (-<digits><letters>).';

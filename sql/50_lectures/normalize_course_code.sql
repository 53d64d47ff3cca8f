-- One spelling for a course code, so that 'csc173-01' of a student and 'CSC 173' of the catalogue are one course. Applying
-- it twice changes nothing, which the check of catalog_courses.code relies on; hence a section is dropped only where a
-- number stays before it ('CSC-173' keeps its number).

create function public.normalize_course_code(p_code text)
returns text
language sql
immutable
strict
parallel safe
set search_path = ''
as $$
    select regexp_replace(
        regexp_replace(
            upper(btrim(regexp_replace(p_code, '\s+', ' ', 'g'))),
            '^(.*[0-9][^-]*)( ?- ?[0-9]+[A-Z]*)$', '\1'
        ),
        '^([[:alpha:]]+)([0-9])', '\1 \2'
    );
$$;

comment on function public.normalize_course_code(text) is
    'Trimmed, upper case, single blanks, no trailing section (-<digits><letters>), one blank between letters and number.';

-- Hints that a student read, so that asking again shows the same ones. Only svc functions read and write them.

create table private.practice_hints (
    practice_assignment_id uuid not null,
    level smallint not null,
    hint text not null,
    created_at timestamptz not null default now(),

    constraint practice_hints_pkey primary key (practice_assignment_id, level),
    constraint practice_hints_practice_assignment_id_fkey
        foreign key (practice_assignment_id) references public.practice_assignments(id) on delete cascade,
    constraint practice_hints_level_check check (level between 1 and 3),
    constraint practice_hints_hint_check check (char_length(hint) between 1 and 2000)
);

comment on table private.practice_hints is 'Hints to practice that was given to students.';
comment on column private.practice_hints.practice_assignment_id is 'The practice.';
comment on column private.practice_hints.level is '1 says least, 3 says most.';
comment on column private.practice_hints.hint is 'The hint, which never contains the answer.';
comment on column private.practice_hints.created_at is 'When the row was written.';

create function public.svc_store_hint(p_student_id uuid, p_assignment_id uuid, p_level int, p_hint text)
returns table (hint text, level int)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_practice public.practice_assignments;
begin
    if num_nulls(p_student_id, p_assignment_id, p_level, p_hint) > 0 then
        raise exception 'p_student_id, p_assignment_id, p_level and p_hint must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_level', p_level, 1, 3);
    select * into v_practice from public.practice_assignments
    where id = p_assignment_id and student_id = p_student_id for update;
    if not found then
        raise exception 'this student has no practice with the id in p_assignment_id' using errcode = 'PT404';
    end if;
    if v_practice.completed or v_practice.review_state = 'needs_review' then
        raise exception 'this practice is answered' using errcode = 'PT409';
    end if;
    insert into private.practice_hints as h (practice_assignment_id, level, hint)
    values (p_assignment_id, p_level, p_hint)
    on conflict (practice_assignment_id, level) do nothing;
    update public.practice_assignments set hints_used = greatest(hints_used, p_level) where id = p_assignment_id;
    return query
    select h.hint, h.level::int from private.practice_hints as h
    where h.practice_assignment_id = p_assignment_id and h.level = p_level;
end
$$;

comment on function public.svc_store_hint(uuid, uuid, int, text) is
    'Keeps a hint and counts it as read; of two at once the first stays, and both get it. PT404 for practice of '
    'others, PT409 when it is answered.';

create function public.svc_get_hints(p_student_id uuid, p_assignment_id uuid)
returns table (level int, hint text)
language sql
stable
security definer
set search_path = ''
as $$
    select h.level::int, h.hint
    from private.practice_hints as h
    inner join public.practice_assignments as a on a.id = h.practice_assignment_id
    where a.id = p_assignment_id and a.student_id = p_student_id
    order by h.level;
$$;

comment on function public.svc_get_hints(uuid, uuid) is 'The hints that a student read about one of their assignments.';

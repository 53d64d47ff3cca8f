-- Elo ratings. K is 32 for students and 8 for items. Ratings are integers from 100 to 3000, rounded once, at the end,
-- half away from zero. Lock order: practice assignment, rating, item; otherwise two calls could deadlock.

create function private.elo_expected(p_rating int, p_question_rating int)
returns numeric
language sql
immutable
set search_path = ''
as $$
    select 1 / (1 + power(10::numeric, (least(greatest(p_question_rating, 100), 3000) - p_rating) / 400.0));
$$;

comment on function private.elo_expected(int, int) is
    'The chance, between 0 and 1, that a student of the first rating answers a question of the second.';

create function private.elo_moved(p_rating int, p_change numeric)
returns int
language sql
immutable
set search_path = ''
as $$
    select least(greatest(round(p_rating + p_change), 100), 3000)::int;
$$;

comment on function private.elo_moved(int, numeric) is
    'A rating after a change, rounded half away from zero and kept from 100 to 3000.';

create function public.update_student_rating(
    p_student_id uuid,
    p_subject_id uuid,
    p_question_rating int,
    p_performance_score numeric
)
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_rating int;
begin
    if num_nulls(p_student_id, p_subject_id, p_question_rating, p_performance_score) > 0 then
        raise exception 'p_student_id, p_subject_id, p_question_rating and p_performance_score must not be null'
            using errcode = '22004';
    end if;
    perform private.check_number('p_performance_score', p_performance_score, 0, 1);
    insert into public.student_ratings (student_id, subject_id) values (p_student_id, p_subject_id)
    on conflict (student_id, subject_id) do nothing;
    -- parallel calls wait here, so that each begins with what the one before stored
    select rating into v_rating from public.student_ratings
    where student_id = p_student_id and subject_id = p_subject_id for update;
    v_rating := private.elo_moved(
        v_rating, 32 * (p_performance_score - private.elo_expected(v_rating, p_question_rating))
    );
    update public.student_ratings set rating = v_rating, last_updated = private.clock()
    where student_id = p_student_id and subject_id = p_subject_id;
    return v_rating;
end
$$;

comment on function public.update_student_rating(uuid, uuid, int, numeric) is
    'Changes a student''s rating in a subject by one scored answer and returns it. A first answer begins with 1000. '
    '22004 for a missing argument, 22003 for a score outside 0 to 1.';

create function private.complete_practice(p_assignment_id uuid, p_performance_score numeric, p_is_rated boolean)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_practice public.practice_assignments;
    v_score numeric;
    v_before int;
    v_after int;
    v_question int;
begin
    select * into v_practice from public.practice_assignments where id = p_assignment_id for update;
    if not found then
        raise exception 'no practice assignment has the id in p_assignment_id' using errcode = 'PT404';
    end if;
    -- it was completed before and is not rated twice
    if v_practice.completed then
        return v_practice;
    end if;
    perform private.check_number('p_performance_score', p_performance_score, 0, 1);
    v_score := round(p_performance_score, 3);

    if v_practice.subject_id is not null then
        insert into public.student_ratings (student_id, subject_id)
        values (v_practice.student_id, v_practice.subject_id)
        on conflict (student_id, subject_id) do nothing;
        select rating into v_before from public.student_ratings
        where student_id = v_practice.student_id and subject_id = v_practice.subject_id for update;
        v_after := v_before;
    end if;
    if v_practice.subject_id is not null and p_is_rated then
        if v_practice.source = 'bank' then
            select elo_rating into v_question from public.practice_bank_items
            where id = v_practice.bank_item_id for no key update;
        else
            v_question := 450 + 100 * coalesce(v_practice.difficulty_level, 5);
        end if;
        v_after := public.update_student_rating(
            v_practice.student_id, v_practice.subject_id, v_question, v_score
        );
        if v_practice.source = 'bank' then
            update public.practice_bank_items
            set elo_rating = private.elo_moved(
                v_question, 8 * (private.elo_expected(v_before, v_question) - v_score)
            )
            where id = v_practice.bank_item_id;
        end if;
    end if;

    update public.practice_assignments set
        completed = true,
        completed_at = private.clock(),
        performance_score = v_score,
        student_rating_before = v_before,
        student_rating_after = v_after
    where id = p_assignment_id
    returning * into v_practice;
    return v_practice;
end
$$;

comment on function private.complete_practice(uuid, numeric, boolean) is
    'Completes a practice assignment once. Unless p_is_rated, the rating after is the rating before and nothing else '
    'moves.';

create function public.complete_practice_assignment(p_assignment_id uuid, p_performance_score numeric)
returns public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_assignment_id is null or p_performance_score is null then
        raise exception 'p_assignment_id and p_performance_score must not be null' using errcode = '22004';
    end if;
    return private.complete_practice(p_assignment_id, p_performance_score, true);
end
$$;

comment on function public.complete_practice_assignment(uuid, numeric) is
    'Completes a practice assignment with a score, rounded to three digits, once: rates student and bank item, both '
    'by the ratings before, and returns the row. A second call returns it unchanged. Without a subject nothing is '
    'rated.';

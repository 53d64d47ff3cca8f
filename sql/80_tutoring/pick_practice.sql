-- What a student practises next: what is open, then reviews that are due, then new items near the wished chance of
-- success. The random part comes from a seed that is stored with the assignment, so each choice can be explained.

create function private.lock_student(p_student_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform from public.user_stats where user_id = p_student_id for update;
    if not found then
        raise exception 'no person has the id in p_student_id' using errcode = 'PT404';
    end if;
end
$$;

comment on function private.lock_student(uuid) is
    'Makes everything that moves a student''s practice run one after the other; the first lock of each of them.';

create function private.seeded(p_seed bigint, p_key text)
returns double precision
language sql
immutable
set search_path = ''
as $$
    -- 52 bits fit into a double without rounding; one half keeps 0 out, of which there is no logarithm
    select (('x' || left(md5(p_seed || ':' || p_key), 13))::bit(52)::bigint + 0.5) / 4503599627370496;
$$;

comment on function private.seeded(bigint, text) is 'A number between 0 and 1 that only seed and key decide.';

create function private.wished_success(p_seed bigint, p_slot int, p_is_placement boolean)
returns double precision
language sql
immutable
set search_path = ''
as $$
    select case
        when p_is_placement then 0.6
        -- a wider spread would ask every second question outside of .65 to .85
        else greatest(0.55, least(0.95, 0.75 + 0.08
            * sqrt(-2 * ln(private.seeded(p_seed, p_slot || ':radius')))
            * cos(2 * pi() * private.seeded(p_seed, p_slot || ':angle'))))
    end;
$$;

comment on function private.wished_success(bigint, int, boolean) is
    'How likely the student should be to solve the next item: .6 while their ability is unknown, then drawn around '
    '.75.';

create function private.practice_candidates(
    p_student_id uuid, p_subject_id uuid, p_topic_tags text[], p_theta double precision
)
returns table (item_id uuid, b double precision, success double precision)
language sql
stable
security definer
set search_path = ''
as $$
    select i.id, x.b, private.expected_success(p_theta, x.b, coalesce(1.0 / cardinality(i.choices), 0))
    from public.practice_bank_items as i
    left join private.item_calibration as c on c.item_id = i.id
    cross join lateral (select coalesce(c.b, (i.elo_rating - 1000) / private.points_per_logit()) as b) as x
    where i.subject_id = p_subject_id and i.is_active and i.student_id is null
        and (p_topic_tags is null or i.topic_tags && p_topic_tags)
        -- without a key nothing can be graded
        and exists (select from public.practice_bank_answers as k where k.item_id = i.id)
        and not exists (
            select from public.practice_assignments as a where a.student_id = p_student_id and a.bank_item_id = i.id
        );
$$;

comment on function private.practice_candidates(uuid, uuid, text[], double precision) is
    'Active items for everybody that the student never saw, with their difficulty and the student''s chance of '
    'success.';

create function private.pick_item(
    p_student_id uuid, p_subject_id uuid, p_topic_tags text[], p_seed bigint, p_slot int,
    out item_id uuid, out success double precision
)
language plpgsql
stable
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_ability private.practice_ability;
    v_theta double precision;
    v_wish double precision;
begin
    select * into v_ability from private.practice_ability
    where student_id = p_student_id and subject_id = p_subject_id;
    v_theta := coalesce(v_ability.theta, 0);
    if private.seeded(p_seed, p_slot || ':calibration') < 0.05 then
        -- some items are taken at random, or those that seem too hard would never be found to be easy
        select c.item_id, c.success into item_id, success
        from private.practice_candidates(p_student_id, p_subject_id, p_topic_tags, v_theta) as c
        where abs(c.b - v_theta) * private.points_per_logit() <= 300
        order by private.seeded(p_seed, c.item_id::text) limit 1;
        if found then
            return;
        end if;
    end if;
    v_wish := private.wished_success(
        p_seed, p_slot,
        coalesce(v_ability.answers, 0) < 5
        and private.points_per_logit() * sqrt(coalesce(v_ability.variance, 1)) >= 100
    );
    select x.item_id, x.success into item_id, success
    from (
        select * from private.practice_candidates(p_student_id, p_subject_id, p_topic_tags, v_theta) as c
        order by abs(c.success - v_wish) fetch first 1 rows with ties
    ) as x
    order by private.seeded(p_seed, x.item_id::text) limit 1;
end
$$;

comment on function private.pick_item(uuid, uuid, text[], bigint, int) is
    'The unseen item whose chance of success is nearest to the wish; one pick of twenty is random within 300 points. '
    'Ties are broken by the seed. Nulls when every item was seen.';

create function private.open_practice(p_student_id uuid, p_subject_id uuid, p_count int, p_topic_tags text[])
returns uuid[]
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.accept_corrected(p_student_id, p_subject_id);
    -- an item that was edited is asked as it is now
    update public.practice_assignments as a set
        bank_item_version = i.version,
        difficulty_level = i.difficulty_level,
        answer_kind = i.answer_kind,
        choices = i.choices
    from public.practice_bank_items as i
    where a.student_id = p_student_id and a.subject_id = p_subject_id and not a.completed
        and i.id = a.bank_item_id and i.version <> a.bank_item_version and a.review_state <> 'needs_review'
        and not private.has_waiting_answer(a.id);
    return array(
        select a.id
        from public.practice_assignments as a
        left join public.practice_bank_items as i on i.id = a.bank_item_id
        where a.student_id = p_student_id and a.subject_id = p_subject_id and not a.completed
            and a.review_state <> 'needs_review'
            and (p_topic_tags is null or coalesce(i.topic_tags, a.topic_tags) && p_topic_tags)
            and case a.source
                when 'bank' then i.is_active
                    and exists (select from public.practice_bank_answers as k where k.item_id = i.id)
                else not private.is_refused(a)
                    and exists (
                        select from public.practice_assignment_answers as k where k.practice_assignment_id = a.id
                    )
            end
            and not private.has_waiting_answer(a.id)
        order by a.is_review desc, a.assigned_at, a.id limit p_count
    );
end
$$;

comment on function private.open_practice(uuid, uuid, int, text[]) is
    'Assignments of a student that can be answered now, reviews first, the oldest first.';

create function private.due_reviews(p_student_id uuid, p_subject_id uuid, p_topic_tags text[], p_limit int)
returns setof uuid
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
    v_zone constant text := private.streak_zone(p_student_id, private.clock());
    v_today constant timestamp := date_trunc('day', private.clock() at time zone v_zone);
begin
    return query
    select r.bank_item_id
    from public.practice_reviews as r
    inner join public.practice_bank_items as i on i.id = r.bank_item_id
    where r.student_id = p_student_id and r.due_at < (v_today + interval '1 day') at time zone v_zone
        and i.subject_id = p_subject_id and i.is_active
        and (p_topic_tags is null or i.topic_tags && p_topic_tags)
        and not exists (
            select from public.practice_assignments as a
            where a.student_id = p_student_id and a.bank_item_id = r.bank_item_id and not a.completed
        )
    -- what is most likely forgotten comes first
    order by extract(epoch from private.clock() - r.last_review_at) / r.stability desc, r.bank_item_id
    limit least(p_limit, 60 - (
        select count(*) from public.practice_assignments as a
        where a.student_id = p_student_id and a.is_review and a.assigned_at >= v_today at time zone v_zone
    ));
end
$$;

comment on function private.due_reviews(uuid, uuid, text[], int) is
    'Items due on the student''s local day, at most 60 reviews a day, the most forgotten first.';

create function private.check_pick(p_student_id uuid, p_subject_id uuid, p_count int, p_goal_id uuid, p_seed bigint)
returns void
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if num_nulls(p_student_id, p_subject_id, p_count, p_seed) > 0 then
        raise exception 'p_student_id, p_subject_id, p_count and p_seed must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_count', p_count, 1, 10);
    if not exists (select from public.subjects where id = p_subject_id) then
        raise exception 'no subject has the id in p_subject_id' using errcode = 'PT404';
    end if;
    if p_goal_id is not null and not exists (
        select from public.goals
        where id = p_goal_id and student_id = p_student_id and (subject_id is null or subject_id = p_subject_id)
    ) then
        raise exception 'the student has no goal of this subject with the id in p_goal_id' using errcode = '22023';
    end if;
end
$$;

comment on function private.check_pick(uuid, uuid, int, uuid, bigint) is
    'Refuses arguments that nothing can be picked for.';

create function public.svc_pick_practice(
    p_student_id uuid,
    p_subject_id uuid,
    p_count int,
    p_topic_tags text[] default null,
    p_goal_id uuid default null,
    p_include_reviews boolean default true,
    p_seed bigint default 0
)
returns setof public.practice_assignments
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_ids uuid[];
    v_reviews int;
    v_slot int;
    v_pick record;
begin
    perform private.check_pick(p_student_id, p_subject_id, p_count, p_goal_id, p_seed);
    perform private.lock_student(p_student_id);
    v_ids := private.open_practice(p_student_id, p_subject_id, p_count, p_topic_tags);
    select ceil(p_count / 2.0) - count(*) into v_reviews
    from public.practice_assignments as a where a.id = any (v_ids) and a.is_review;
    v_reviews := least(v_reviews, p_count - cardinality(v_ids));
    if p_include_reviews and v_reviews > 0 then
        with made as (
            insert into public.practice_assignments as a (student_id, bank_item_id, goal_id, is_review, assigned_at)
            select p_student_id, r.item_id, p_goal_id, true, private.clock() + r.place * interval '1 microsecond'
            from private.due_reviews(p_student_id, p_subject_id, p_topic_tags, v_reviews)
                with ordinality as r (item_id, place)
            returning a.id
        )
        select v_ids || coalesce(array_agg(id), '{}') into v_ids from made;
    end if;
    for v_slot in cardinality(v_ids) + 1 .. p_count loop
        select * into v_pick from private.pick_item(p_student_id, p_subject_id, p_topic_tags, p_seed, v_slot);
        exit when v_pick.item_id is null;
        with made as (
            insert into public.practice_assignments as a (
                student_id, bank_item_id, goal_id, expected_success, out_of_zone, pick_seed, assigned_at
            )
            values (
                p_student_id, v_pick.item_id, p_goal_id, v_pick.success, v_pick.success not between 0.65 and 0.85,
                -- so that open ones keep their order
                p_seed, private.clock() + v_slot * interval '1 microsecond'
            )
            returning a.id
        )
        select v_ids || id into v_ids from made;
    end loop;
    return query
    select a.* from public.practice_assignments as a
    inner join unnest(v_ids) with ordinality as x (id, place) on x.id = a.id
    order by a.is_review desc, x.place;
end
$$;

comment on function public.svc_pick_practice(uuid, uuid, int, text[], uuid, boolean, bigint) is
    'What a student practises next in a subject, 1 to 10 assignments, reviews first: open ones, then reviews that are '
    'due (at most half), then unseen items. Fewer, or none, when the bank has no more. PT404 without the subject, '
    '22023 for a goal of others.';

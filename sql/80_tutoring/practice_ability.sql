-- The estimate of ability behind the choice of practice: a logistic model whose steps shrink as it learns. theta and b
-- are logits; a point is 400 / ln 10 = 173.72 points a logit, and 1000 points are zero.

create table private.practice_ability (
    student_id uuid not null,
    subject_id uuid not null,
    theta double precision not null default 0,
    variance double precision not null default 1,
    answers int not null default 0,
    last_answer_at timestamptz,

    constraint practice_ability_pkey primary key (student_id, subject_id),
    constraint practice_ability_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint practice_ability_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint practice_ability_variance_check check (variance > 0)
);

create index idx_practice_ability_subject_id on private.practice_ability (subject_id);

comment on table private.practice_ability is 'How able a student is in a subject, and how sure that is.';
comment on column private.practice_ability.student_id is 'The student.';
comment on column private.practice_ability.subject_id is 'The subject.';
comment on column private.practice_ability.theta is 'Ability in logits; a new student has 0.';
comment on column private.practice_ability.variance is 'How uncertain it is, in square logits; a new student has 1.';
comment on column private.practice_ability.answers is 'Rated answers so far.';
comment on column private.practice_ability.last_answer_at is 'When the last one counted.';

create table private.item_calibration (
    item_id uuid primary key,
    item_version int not null,
    b double precision not null,
    b_initial double precision not null,
    variance double precision not null,
    variance_initial double precision not null,
    answers int not null default 0,

    constraint item_calibration_item_id_fkey
        foreign key (item_id) references public.practice_bank_items(id) on delete cascade,
    constraint item_calibration_variance_check check (variance > 0 and variance_initial > 0)
);

comment on table private.item_calibration is 'How hard a bank item is, and how sure that is.';
comment on column private.item_calibration.item_id is 'The item.';
comment on column private.item_calibration.item_version is 'The version that the answers were to.';
comment on column private.item_calibration.b is 'Difficulty in logits.';
comment on column private.item_calibration.b_initial is 'What it began with, from the item''s Elo rating.';
comment on column private.item_calibration.variance is 'How uncertain it is, in square logits.';
comment on column private.item_calibration.variance_initial is
    'What it began with: .5 for an item of staff or a tutor, 1 without an author or when a model wrote it.';
comment on column private.item_calibration.answers is 'Rated answers to this version.';

create table private.calibration_log (
    id bigint generated always as identity primary key,
    subject_id uuid not null,
    shift double precision not null,
    items int not null,
    answers int not null,
    mean_error double precision,
    ability_sd double precision,
    students int not null,
    alarms text[] not null default '{}',
    created_at timestamptz not null default now(),

    constraint calibration_log_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete cascade
);

create index idx_calibration_log_subject_id on private.calibration_log (subject_id, created_at);

comment on table private.calibration_log is 'What the nightly re-centring of each subject did and saw.';
comment on column private.calibration_log.id is 'Identity of the row.';
comment on column private.calibration_log.subject_id is 'The subject.';
comment on column private.calibration_log.shift is
    'What was taken from the difficulty of every active item, in logits.';
comment on column private.calibration_log.items is 'Active items.';
comment on column private.calibration_log.answers is 'Rated answers of the last 24 hours.';
comment on column private.calibration_log.mean_error is 'Their mean of score minus expected score.';
comment on column private.calibration_log.ability_sd is 'Spread of the students'' abilities, in points.';
comment on column private.calibration_log.students is 'Students with an ability.';
comment on column private.calibration_log.alarms is
    'error: mean_error is outside -.03 to .03. spread: ability_sd grew by a tenth in 30 days without new students.';
comment on column private.calibration_log.created_at is 'When it ran.';

create function private.points_per_logit()
returns double precision
language sql
immutable
set search_path = ''
as $$
    select 400 / ln(10::double precision);
$$;

comment on function private.points_per_logit() is 'How many Elo points are one logit: 173.72.';

create function private.expected_success(p_theta double precision, p_b double precision, p_guess double precision)
returns double precision
language sql
immutable
set search_path = ''
as $$
    -- beyond 20 logits the exponential would under- or overflow in what is computed from it
    select p_guess + (1 - p_guess) / (1 + exp(greatest(-20, least(20, p_b - p_theta))));
$$;

comment on function private.expected_success(double precision, double precision, double precision) is
    'The chance that a student of ability p_theta answers an item of difficulty p_b (both logits) that guessing '
    'solves with the chance p_guess.';

create function private.ability_step(
    p_theta double precision,
    p_variance double precision,
    p_idle_days double precision,
    p_b double precision,
    p_item_variance double precision,
    p_guess double precision,
    p_score double precision,
    out expected double precision,
    out theta double precision,
    out variance double precision,
    out b double precision,
    out item_variance double precision
)
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_logistic constant double precision := 1 / (1 + exp(greatest(-20, least(20, p_b - p_theta))));
    v_slope constant double precision := (1 - p_guess) * v_logistic * (1 - v_logistic);
    v_gain double precision;
begin
    expected := p_guess + (1 - p_guess) * v_logistic;
    v_gain := v_slope / (expected * (1 - expected));
    -- both sides learn from what was known before, each as far as it was uncertain
    variance := least(1, p_variance + 0.002 * p_idle_days) + 0.002;
    variance := variance / (1 + variance * v_slope * v_gain);
    theta := p_theta + variance * v_gain * (p_score - expected);
    item_variance := p_item_variance / (1 + p_item_variance * v_slope * v_gain);
    b := p_b - item_variance * v_gain * (p_score - expected);
end
$$;

comment on function private.ability_step(
    double precision, double precision, double precision, double precision, double precision, double precision,
    double precision
) is
    'One rated answer: the chance of success that was expected, and ability and difficulty afterwards, with their '
    'variances. p_idle_days are whole days since the last answer; they make ability uncertain again.';

create function private.idle_days(p_from timestamptz, p_to timestamptz)
returns double precision
language sql
immutable
set search_path = ''
as $$
    select greatest(0, floor(extract(epoch from coalesce(p_to - p_from, interval '0')) / 86400))::double precision;
$$;

comment on function private.idle_days(timestamptz, timestamptz) is 'Whole periods of 24 hours between two answers.';

create function private.calibrated_item(p_item public.practice_bank_items)
returns private.item_calibration
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row private.item_calibration;
    v_initial constant double precision := case
        when p_item.created_by is null or p_item.is_generated then 1.0 else 0.5
    end;
begin
    insert into private.item_calibration (item_id, item_version, b, b_initial, variance, variance_initial)
    select p_item.id, p_item.version, x.b, x.b, v_initial, v_initial
    from (select (p_item.elo_rating - 1000) / private.points_per_logit() as b) as x
    on conflict (item_id) do nothing;
    select * into v_row from private.item_calibration where item_id = p_item.id for update;
    if v_row.item_version <> p_item.version then
        -- an edited item is about as hard as it was, but that is a guess again
        update private.item_calibration
        set item_version = p_item.version, variance = greatest(variance, variance_initial), answers = 0
        where item_id = p_item.id
        returning * into v_row;
    end if;
    return v_row;
end
$$;

comment on function private.calibrated_item(public.practice_bank_items) is
    'The difficulty of an item, locked; made from its Elo rating at first. A new version is as uncertain as a new '
    'item.';

create function public.svc_recenter_items()
returns table (subject_id uuid, shift double precision, alarms text[])
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_subject uuid;
    v_log private.calibration_log;
    v_then private.calibration_log;
begin
    for v_subject in
        select distinct i.subject_id from public.practice_bank_items as i where i.is_active order by 1
    loop
        -- in the order of ids, and items before their calibration, as answers lock them one by one
        perform private.calibrated_item(i) from (
            select * from public.practice_bank_items as x
            where x.subject_id = v_subject and x.is_active order by x.id for no key update
        ) as i;
        select avg(c.b - c.b_initial), count(*) into v_log.shift, v_log.items
        from private.item_calibration as c
        inner join public.practice_bank_items as i on i.id = c.item_id
        where i.subject_id = v_subject and i.is_active;
        update private.item_calibration as c set b = c.b - v_log.shift
        from public.practice_bank_items as i
        where i.id = c.item_id and i.subject_id = v_subject and i.is_active;

        select count(*), avg(g.score - a.expected) into v_log.answers, v_log.mean_error
        from public.practice_attempts as a
        inner join private.graded_attempts as g on g.id = a.id
        where a.subject_id = v_subject and a.is_rated and a.recorded_at > private.clock() - interval '1 day';
        select coalesce(stddev_samp(p.theta), 0) * private.points_per_logit(), count(*)
        into v_log.ability_sd, v_log.students
        from private.practice_ability as p where p.subject_id = v_subject and p.answers > 0;
        select * into v_then from private.calibration_log as l
        where l.subject_id = v_subject and l.created_at <= private.clock() - interval '30 days'
        order by l.created_at desc limit 1;
        v_log.alarms := array_remove(array[
            case when abs(v_log.mean_error) > 0.03 then 'error' end,
            case
                when v_then.ability_sd > 0 and v_log.students <= v_then.students
                    and v_log.ability_sd > 1.1 * v_then.ability_sd then 'spread'
            end
        ], null);
        insert into private.calibration_log (
            subject_id, shift, items, answers, mean_error, ability_sd, students, alarms, created_at
        )
        values (
            v_subject, v_log.shift, v_log.items, v_log.answers, v_log.mean_error, v_log.ability_sd, v_log.students,
            v_log.alarms, private.clock()
        );
        subject_id := v_subject;
        shift := v_log.shift;
        alarms := v_log.alarms;
        return next;
    end loop;
end
$$;

comment on function public.svc_recenter_items() is
    'Takes the mean drift of each subject''s active items from all of them, so that items do not absorb what students '
    'learn. Logs shift and alarms, and returns them.';

-- Points of students, event by event. Totals are sums; a correction is a row of its own, negative when points were too
-- many. The rules have a version, so that a change of the rules never changes what was given.

create table private.xp_events (
    id bigint generated always as identity primary key,
    student_id uuid not null,
    goal_id uuid,
    source_type text not null,
    source_id text not null,
    rule_version int not null default 1,
    amount int not null,
    created_at timestamptz not null default now(),

    constraint xp_events_student_id_fkey foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint xp_events_goal_id_fkey foreign key (goal_id) references public.goals(id) on delete set null,
    constraint xp_events_student_id_source_type_source_id_rule_version_key
        unique (student_id, source_type, source_id, rule_version),
    constraint xp_events_source_type_check check (source_type in ('practice', 'practice_correction')),
    constraint xp_events_amount_check check (amount <> 0)
);

create index idx_xp_events_goal_id on private.xp_events (goal_id) where goal_id is not null;

comment on table private.xp_events is 'Points of students, append-only.';
comment on column private.xp_events.id is 'Identity of the row.';
comment on column private.xp_events.student_id is 'The student.';
comment on column private.xp_events.goal_id is 'The goal that they count for; null without, or when it was deleted.';
comment on column private.xp_events.source_type is 'practice: an answer. practice_correction: a tutor''s correction.';
comment on column private.xp_events.source_id is 'The row of practice_attempts.';
comment on column private.xp_events.rule_version is 'The rules it was given by.';
comment on column private.xp_events.amount is 'Points; negative takes away.';
comment on column private.xp_events.created_at is 'When the row was written.';

create function private.practice_xp(p_student_id uuid, p_bank_item_id uuid, p_assignment_id uuid)
returns table (attempt_id uuid, amount int)
language sql
stable
security definer
set search_path = ''
as $$
    -- each answer of one version of an item, or of one question of the model, with its place among them
    with answers as (
        select
            g.id,
            g.seq,
            g.is_on_time,
            row_number() over (partition by g.item_version order by g.seq) as place,
            min(g.seq) filter (where g.score >= 0.6) over (partition by g.item_version) as passed
        from private.graded_attempts as g
        where g.student_id = p_student_id
            and (
                g.bank_item_id = p_bank_item_id
                or (p_bank_item_id is null and g.practice_assignment_id = p_assignment_id)
            )
    )
    select
        a.id,
        case when a.seq = a.passed then 10 when a.place = 1 then 2 when a.is_on_time then 5 else 0 end
    from answers as a;
$$;

comment on function private.practice_xp(uuid, uuid, uuid) is
    'What the answers to an item, or to a question of the model, are worth: 10 for the first that passes (a score of '
    '.6 or more), 2 for a first one that does not, 5 for a review on time.';

create function private.add_xp(
    p_student_id uuid, p_goal_id uuid, p_source_type text, p_source_id text, p_amount int
)
returns void
language sql
volatile
security definer
set search_path = ''
as $$
    insert into private.xp_events (student_id, goal_id, source_type, source_id, amount, created_at)
    select p_student_id, p_goal_id, p_source_type, p_source_id, p_amount, private.clock() where p_amount <> 0
    on conflict (student_id, source_type, source_id, rule_version) do nothing;
$$;

comment on function private.add_xp(uuid, uuid, text, text, int) is
    'Adds points once a source; none for an amount of 0.';

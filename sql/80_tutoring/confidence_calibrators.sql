-- What a score of evidence is worth: tables that turn raw_score into the chance that an answer is right. A new version
-- is added and never changes an old one, so that every answer keeps the version it was judged with.
-- ./scripts/calibrate-confidence makes versions out of tutors' verdicts.

create table private.confidence_calibrators (
    version int generated always as identity primary key,
    subject_id uuid,
    features text not null,
    steps jsonb not null default '[]',
    answers int not null,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),

    constraint confidence_calibrators_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint confidence_calibrators_steps_check check (
        jsonb_typeof(steps) = 'array' and jsonb_array_length(steps) > 0
    ),
    constraint confidence_calibrators_features_check check (features ~ '^[a-z_]+/[0-9]+$'),
    constraint confidence_calibrators_answers_check check (answers >= 0)
);

-- one at work for each subject, and one for all others
create unique index uq_confidence_calibrators_active on private.confidence_calibrators (subject_id)
nulls not distinct where is_active;
create index idx_confidence_calibrators_subject_id on private.confidence_calibrators (subject_id)
where subject_id is not null;

comment on table private.confidence_calibrators is 'What a score of evidence is worth, by version.';
comment on column private.confidence_calibrators.version is 'Number of the version; answers keep it.';
comment on column private.confidence_calibrators.subject_id is
    'The subject it was made for; null for every subject that has none of its own.';
comment on column private.confidence_calibrators.features is
    'How the score is made that it reads. One made for other features is not used.';
comment on column private.confidence_calibrators.steps is
    'Steps [[score, chance]], both ascending: the last step at or below a score is its chance of a right answer.';
comment on column private.confidence_calibrators.answers is 'How many judged answers it was made of.';
comment on column private.confidence_calibrators.is_active is 'Whether new answers use it.';
comment on column private.confidence_calibrators.created_at is 'When it was made.';

-- made of the half of the labelled questions that is there for fitting; tests judge it with the other half
insert into private.confidence_calibrators (features, steps, answers) values
(
    'evidence/1',
    '[[0.0, 0.029], [0.137, 0.031], [0.304, 0.074], [0.489, 0.542], [0.757, 0.839], [1.0, 0.984]]',
    200
);

create function public.svc_get_calibrator(p_subject_id uuid, p_features text)
returns table (version int, steps jsonb)
language sql
stable
security definer
set search_path = ''
as $$
    select c.version, c.steps from private.confidence_calibrators as c
    where c.is_active and c.features = p_features and (c.subject_id = p_subject_id or c.subject_id is null)
    order by c.subject_id nulls last
    limit 1;
$$;

comment on function public.svc_get_calibrator(uuid, text) is
    'The calibrator at work for a subject, or the one for all subjects; none for features that nobody calibrated.';

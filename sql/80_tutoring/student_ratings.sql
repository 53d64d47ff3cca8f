-- A student's strength in a subject, on the Elo scale. Only update_student_rating and complete_practice_assignment
-- write it.

create table public.student_ratings (
    id uuid primary key default gen_random_uuid(),
    student_id uuid not null,
    subject_id uuid not null,
    rating int not null default 1000,
    ability double precision,
    ability_sd double precision,
    answers int not null default 0,
    last_updated timestamptz not null default now(),

    constraint student_ratings_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint student_ratings_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint student_ratings_student_id_subject_id_key unique (student_id, subject_id),
    constraint student_ratings_rating_check check (rating between 100 and 3000),
    constraint student_ratings_ability_check check ((ability is null) = (ability_sd is null)),
    constraint student_ratings_answers_check check (answers >= 0)
);

create index idx_sr_student on public.student_ratings (student_id) include (subject_id, rating);
create index idx_sr_subject on public.student_ratings (subject_id);
create index idx_sr_rating on public.student_ratings (subject_id, rating);

comment on table public.student_ratings is 'Ratings of students, one per subject.';
comment on column public.student_ratings.id is 'Identity of the row.';
comment on column public.student_ratings.student_id is 'The student.';
comment on column public.student_ratings.subject_id is 'The subject.';
comment on column public.student_ratings.rating is 'Elo points, 100 to 3000.';
comment on column public.student_ratings.ability is
    'Estimated strength in points, 1000 for the average; null before the first rated answer.';
comment on column public.student_ratings.ability_sd is
    'How uncertain ability is, in points; above 100 the estimate is still being calibrated.';
comment on column public.student_ratings.answers is 'Answers that moved ability.';
comment on column public.student_ratings.last_updated is 'When it last changed.';

-- When a student should answer a bank item again. The service computes the row with the package fsrs and
-- svc_record_answer writes it in the transaction of the answer.

create table public.practice_reviews (
    student_id uuid not null,
    bank_item_id uuid not null,
    subject_id uuid not null,
    state smallint not null,
    step smallint,
    stability double precision not null,
    difficulty double precision not null,
    due_at timestamptz not null,
    last_review_at timestamptz not null,
    reps int not null default 1,
    lapses int not null default 0,
    scheduler_version text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint practice_reviews_pkey primary key (student_id, bank_item_id),
    constraint practice_reviews_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint practice_reviews_bank_item_id_fkey
        foreign key (bank_item_id) references public.practice_bank_items(id) on delete cascade,
    constraint practice_reviews_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete restrict,
    constraint practice_reviews_state_check check (state between 1 and 3),
    constraint practice_reviews_stability_check check (stability > 0 and stability < 'infinity'),
    constraint practice_reviews_difficulty_check check (difficulty between 1 and 10),
    constraint practice_reviews_due_at_check check (due_at >= last_review_at and due_at < '10000-01-01 00:00:00+00'),
    constraint practice_reviews_reps_check check (reps >= 1 and lapses >= 0),
    constraint practice_reviews_scheduler_version_check check (char_length(scheduler_version) between 1 and 50)
);

create index idx_practice_reviews_due on public.practice_reviews (student_id, due_at);
create index idx_practice_reviews_bank_item_id on public.practice_reviews (bank_item_id);
create index idx_practice_reviews_subject_id on public.practice_reviews (subject_id);

comment on table public.practice_reviews is 'When a student should answer a bank item again.';
comment on column public.practice_reviews.student_id is 'The student.';
comment on column public.practice_reviews.bank_item_id is 'The item.';
comment on column public.practice_reviews.subject_id is 'The subject of the item.';
comment on column public.practice_reviews.state is 'Of the scheduler: 1 learning, 2 review, 3 relearning.';
comment on column public.practice_reviews.step is 'Of the scheduler; null in review.';
comment on column public.practice_reviews.stability is 'Days until nine of ten such items are still remembered.';
comment on column public.practice_reviews.difficulty is '1 (easy) to 10, for this student.';
comment on column public.practice_reviews.due_at is 'When it is due.';
comment on column public.practice_reviews.last_review_at is 'When it was last answered.';
comment on column public.practice_reviews.reps is 'How often it was answered.';
comment on column public.practice_reviews.lapses is 'How often a known item was forgotten.';
comment on column public.practice_reviews.scheduler_version is 'The package and version that computed it.';
comment on column public.practice_reviews.created_at is 'When the row was written.';
comment on column public.practice_reviews.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_practice_reviews_updated_at before update on public.practice_reviews
for each row execute function public.set_updated_at();

create function private.put_review(
    p_student_id uuid, p_bank_item_id uuid, p_review jsonb, p_seen timestamptz, p_is_pass boolean
)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_old public.practice_reviews;
    v_new constant public.practice_reviews := jsonb_populate_record(null::public.practice_reviews, p_review);
begin
    select * into v_old from public.practice_reviews
    where student_id = p_student_id and bank_item_id = p_bank_item_id for update;
    if v_old.last_review_at is distinct from p_seen then
        raise exception 'the review changed since it was read' using errcode = 'PT409',
            hint = 'Read it again, compute the next one and call again.';
    end if;
    insert into public.practice_reviews (
        student_id, bank_item_id, subject_id, state, step, stability, difficulty, due_at, last_review_at,
        scheduler_version
    )
    values (
        p_student_id, p_bank_item_id,
        (select i.subject_id from public.practice_bank_items as i where i.id = p_bank_item_id),
        v_new.state, v_new.step, v_new.stability, v_new.difficulty, v_new.due_at, v_new.last_review_at,
        v_new.scheduler_version
    )
    on conflict (student_id, bank_item_id) do update set
        state = excluded.state,
        step = excluded.step,
        stability = excluded.stability,
        difficulty = excluded.difficulty,
        due_at = excluded.due_at,
        last_review_at = excluded.last_review_at,
        scheduler_version = excluded.scheduler_version,
        reps = v_old.reps + 1,
        lapses = v_old.lapses + case when p_is_pass then 0 else 1 end;
    return v_new.due_at;
end
$$;

comment on function private.put_review(uuid, uuid, jsonb, timestamptz, boolean) is
    'Stores the next review that was computed from the one of p_seen (null: from none). PT409 when it is another now.';

-- Which subject leads to which. A link has a direction: algebra leads to calculus, not the other way. Staff write it.

create table public.related_subjects (
    subject_id uuid not null,
    related_subject_id uuid not null,
    created_at timestamptz not null default now(),

    constraint related_subjects_pkey primary key (subject_id, related_subject_id),
    constraint related_subjects_subject_id_fkey
        foreign key (subject_id) references public.subjects(id) on delete cascade,
    constraint related_subjects_related_subject_id_fkey
        foreign key (related_subject_id) references public.subjects(id) on delete cascade,
    constraint related_subjects_self_check check (subject_id <> related_subject_id)
);

create index idx_related_subjects_related_subject_id on public.related_subjects (related_subject_id);

comment on table public.related_subjects is 'Directed links between subjects, for suggestions across subjects.';
comment on column public.related_subjects.subject_id is 'The subject that leads on.';
comment on column public.related_subjects.related_subject_id is 'The subject it leads to.';
comment on column public.related_subjects.created_at is 'When the row was written.';

create trigger trg_related_subjects_columns before update on public.related_subjects
for each row execute function private.keep_columns('subject_id', 'related_subject_id');

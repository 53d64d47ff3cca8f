-- The subjects that are taught. Staff write them; everybody signed in reads them.

create table public.subjects (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    category text,
    description text,
    created_at timestamptz not null default now(),

    constraint subjects_name_key unique (name),
    constraint subjects_name_check check (char_length(name) between 1 and 200),
    constraint subjects_category_check check (char_length(category) <= 200),
    constraint subjects_description_check check (char_length(description) <= 5000)
);

create index idx_subjects_category on public.subjects (category);

comment on table public.subjects is 'Subjects of tutoring and practice.';
comment on column public.subjects.id is 'Identity of the row.';
comment on column public.subjects.name is 'Its name, unique.';
comment on column public.subjects.category is 'The group it belongs to; any text.';
comment on column public.subjects.description is 'What the subject covers.';
comment on column public.subjects.created_at is 'When the row was written.';

create trigger trg_subjects_columns before update on public.subjects
for each row execute function private.keep_columns('name', 'category', 'description');

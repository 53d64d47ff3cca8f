-- The courses of the school, to which lectures and documents belong. svc_sync_catalog writes the official ones; people
-- add one that is missing by ensure_catalog_course. A person's Canvas course is another table, courses.

create table public.catalog_courses (
    id uuid primary key default gen_random_uuid(),
    code text not null,
    title text not null,
    instructor text,
    is_official boolean not null default false,
    created_by uuid,
    retired_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint uq_courses_code unique (code),
    constraint catalog_courses_created_by_fkey
        foreign key (created_by)
        references public.profiles(user_id) on delete set null,
    constraint catalog_courses_code_check
        check (code = public.normalize_course_code(code) and char_length(code) between 1 and 50),
    constraint catalog_courses_title_check check (char_length(btrim(title)) >= 1 and char_length(title) <= 500),
    constraint catalog_courses_instructor_check check (char_length(instructor) <= 500)
);

create index idx_catalog_courses_created_by on public.catalog_courses (created_by);

comment on table public.catalog_courses is 'A course of the school.';
comment on column public.catalog_courses.id is 'Key.';
comment on column public.catalog_courses.code is 'Course code, normalised.';
comment on column public.catalog_courses.title is 'Its title.';
comment on column public.catalog_courses.instructor is 'Who teaches it.';
comment on column public.catalog_courses.is_official is
    'Whether the school''s list contains it; then only staff may edit it.';
comment on column public.catalog_courses.created_by is 'Who added it, if a person did.';
comment on column public.catalog_courses.retired_at is 'When it left the school''s list while still in use here.';
comment on column public.catalog_courses.created_at is 'When it was added.';
comment on column public.catalog_courses.updated_at is 'When the row last changed.';

create trigger trg_catalog_courses_columns before update on public.catalog_courses
for each row execute function private.keep_columns('title', 'instructor');
create trigger trg_catalog_courses_updated_at before update on public.catalog_courses
for each row execute function public.set_updated_at();

alter table public.courses
add constraint courses_catalog_course_id_fkey
    foreign key (catalog_course_id)
    references public.catalog_courses(id) on delete set null;

-- A class that a teacher prepares material for. It has no roster on purpose: teachers get no student data from us.

create table public.classes (
    id uuid primary key default gen_random_uuid(),
    teacher_id uuid not null default private.caller_id(),
    canvas_course_id bigint,
    canvas_id text,
    catalog_course_id uuid,
    name text not null,
    section text,
    term text,
    status public.class_status not null default 'active',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint classes_canvas_id_check check (canvas_id = canvas_course_id::text),
    constraint classes_teacher_id_fkey foreign key (teacher_id) references public.teachers(id) on delete cascade,
    constraint classes_catalog_course_id_fkey
        foreign key (catalog_course_id) references public.catalog_courses(id) on delete set null,
    constraint classes_teacher_id_canvas_course_id_key unique (teacher_id, canvas_course_id),
    constraint classes_id_teacher_id_key unique (id, teacher_id),
    constraint classes_name_check check (char_length(name) between 1 and 500),
    constraint classes_section_check check (char_length(section) <= 200),
    constraint classes_term_check check (char_length(term) <= 200)
);

create index idx_classes_catalog_course_id on public.classes (catalog_course_id);

comment on table public.classes is 'A teacher''s classes.';
comment on column public.classes.id is 'Identity of the row.';
comment on column public.classes.teacher_id is 'The teacher.';
comment on column public.classes.canvas_course_id is 'Its course in Canvas, at the teacher''s installation.';
comment on column public.classes.canvas_id is 'The same id as text, kept equal: JavaScript rounds numbers past 2^53.';
comment on column public.classes.catalog_course_id is 'Its course in our catalogue.';
comment on column public.classes.name is 'What the teacher calls it.';
comment on column public.classes.section is 'Section or group.';
comment on column public.classes.term is 'Term or school year.';
comment on column public.classes.status is 'active or archived.';
comment on column public.classes.created_at is 'When the row was written.';
comment on column public.classes.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_classes_columns before update on public.classes
for each row execute function private.keep_columns('name', 'section', 'term', 'status');
create trigger trg_classes_text_id before insert or update of canvas_course_id, canvas_id on public.classes
for each row execute function private.keep_canvas_id('canvas_course_id');
create trigger trg_classes_status before insert or update of status on public.classes
for each row execute function private.enforce_transition(
    'status', '>active', 'active>archived', 'archived>active'
);
create trigger trg_classes_updated_at before update on public.classes
for each row execute function public.set_updated_at();

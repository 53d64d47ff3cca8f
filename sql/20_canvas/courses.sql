-- A Canvas course as one person sees it; two students of one course have two rows. Sync writes it; the person only
-- hides courses, which are then not synced. The catalogue is another table, catalog_courses, linked by the normalised
-- code.

create table public.courses (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    integration_id uuid not null,
    canvas_course_id bigint not null,
    canvas_id text not null,
    catalog_course_id uuid,
    name text not null,
    course_code text,
    term text,
    is_active boolean not null default true,
    is_hidden boolean not null default false,
    raw_payload jsonb not null default '{}',
    content_hash text,
    access_restricted boolean not null default false,
    workflow_state text,
    time_zone text,
    former_external_user_id text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint courses_canvas_id_check check (canvas_id = canvas_course_id::text),
    constraint courses_integration_id_canvas_course_id_key unique (integration_id, canvas_course_id),
    constraint courses_id_user_id_key unique (id, user_id),
    constraint courses_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint courses_integration_id_fkey
        foreign key (integration_id, user_id)
        references public.integrations(id, user_id) on delete cascade,
    constraint courses_raw_payload_check check (jsonb_typeof(raw_payload) = 'object')
);

create index idx_courses_user_id on public.courses (user_id);
create index idx_courses_catalog_course_id on public.courses (catalog_course_id);
create index idx_courses_integration_id on public.courses (integration_id, user_id);

comment on table public.courses is 'A person''s Canvas course.';
comment on column public.courses.id is 'Key.';
comment on column public.courses.user_id is 'Whose course.';
comment on column public.courses.integration_id is 'The grant it came through; a Canvas id means nothing without it.';
comment on column public.courses.canvas_course_id is 'Id in Canvas. It may exceed 2^53: JavaScript reads canvas_id.';
comment on column public.courses.canvas_id is 'The same id as text, kept equal: JavaScript rounds numbers past 2^53.';
comment on column public.courses.catalog_course_id is 'The same course in our catalogue, if the code is known there.';
comment on column public.courses.name is 'Its name; the code, or Course <canvas id>, where Canvas has none.';
comment on column public.courses.course_code is 'Code as Canvas gives it.';
comment on column public.courses.term is 'Name of the term.';
comment on column public.courses.is_active is 'Whether Canvas has it; false once it was deleted there. Sync''s alone.';
comment on column public.courses.is_hidden is
    'Whether the person hides it: it is not synced, listed, planned or written for.';
comment on column public.courses.raw_payload is
    'What Canvas sent, without enrolments and other people''s records; numbers past 2^53 as text.';
comment on column public.courses.content_hash is 'Hash of the fields that count as content; sync skips an equal one.';
comment on column public.courses.access_restricted is
    'Canvas shows only a stub now; the other columns are from before.';
comment on column public.courses.workflow_state is 'State in Canvas: available, completed, deleted and others.';
comment on column public.courses.time_zone is 'IANA name of the course''s zone, for due dates.';
comment on column public.courses.former_external_user_id is
    'The Canvas person through whom it came, once another one is connected who does not have it; else null.';
comment on column public.courses.created_at is 'When sync first saw it.';
comment on column public.courses.updated_at is 'When the row last changed.';

create trigger trg_courses_columns before update on public.courses
for each row execute function private.keep_columns('is_hidden');
create trigger trg_courses_exact before insert or update of raw_payload on public.courses
for each row when (jsonb_path_exists(new.raw_payload, 'strict $.** ? (@ > 9007199254740991 || @ < -9007199254740991)'))
execute function private.keep_exact_numbers('raw_payload');
create trigger trg_courses_text_id before insert or update of canvas_course_id, canvas_id on public.courses
for each row execute function private.keep_canvas_id('canvas_course_id');
create trigger trg_courses_updated_at before update on public.courses
for each row execute function public.set_updated_at();

create function private.take_course_zone()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    update public.profiles as p
    set timezone = z.time_zone, timezone_source = 'canvas'
    from (
        select distinct on (c.user_id) c.user_id, c.time_zone from added as c
        where c.time_zone is not null
        group by c.user_id, c.time_zone
        order by c.user_id, count(*) desc, c.time_zone
    ) as z
    where p.user_id = z.user_id and p.timezone_source = 'default' and private.is_timezone(z.time_zone);
    return null;
end
$$;

comment on function private.take_course_zone() is
    'AFTER INSERT on courses: people whose time zone nobody has set yet get the one that most of their new courses '
    'have. Canvas''s own word on the person comes first: private.take_canvas_profile().';

create trigger trg_courses_zone after insert on public.courses referencing new table as added
for each statement execute function private.take_course_zone();

-- Canvas courses of a teacher as last fetched with the teacher's own grant, so that the assistant need not ask Canvas
-- for each answer. The job canvas_courses_cache writes them, without enrolments and submissions; rows live 24 hours.

create table public.courses_cache (
    id uuid primary key default gen_random_uuid(),
    teacher_id uuid not null,
    canvas_course_id bigint not null,
    canvas_id text not null,
    course_data jsonb not null default '{}',
    cached_at timestamptz not null default now(),

    constraint courses_cache_canvas_id_check check (canvas_id = canvas_course_id::text),
    constraint courses_cache_teacher_id_fkey foreign key (teacher_id) references public.teachers(id) on delete cascade,
    constraint courses_cache_teacher_id_canvas_course_id_key unique (teacher_id, canvas_course_id),
    constraint courses_cache_course_data_check check (jsonb_typeof(course_data) = 'object')
);

-- for the newest of a teacher
create index idx_courses_cache_teacher_id on public.courses_cache (teacher_id, cached_at);
-- for retention
create index idx_courses_cache_cached_at on public.courses_cache (cached_at);

comment on table public.courses_cache is 'A day''s copy of each teacher''s Canvas courses.';
comment on column public.courses_cache.id is 'Identity of the row.';
comment on column public.courses_cache.teacher_id is 'Whose grant fetched it.';
comment on column public.courses_cache.canvas_course_id is 'The course''s id at the teacher''s installation.';
comment on column public.courses_cache.canvas_id is
    'The same id as text, kept equal: JavaScript rounds numbers past 2^53.';
comment on column public.courses_cache.course_data is
    'The course as Canvas gave it, without other people''s records; numbers past 2^53 as text.';
comment on column public.courses_cache.cached_at is 'When it was last fetched; kept by trigger.';

create function private.refresh_cached_at()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.cached_at := now();
    return new;
end
$$;

comment on function private.refresh_cached_at() is
    'BEFORE UPDATE on courses_cache: sets cached_at. A default acts on insert only, and an upsert may be an update.';

create trigger trg_courses_cache_exact before insert or update of course_data on public.courses_cache
for each row when (jsonb_path_exists(new.course_data, 'strict $.** ? (@ > 9007199254740991 || @ < -9007199254740991)'))
execute function private.keep_exact_numbers('course_data');
create trigger trg_courses_cache_text_id before insert or update of canvas_course_id, canvas_id on public.courses_cache
for each row execute function private.keep_canvas_id('canvas_course_id');
create trigger trg_courses_cache_cached_at before update on public.courses_cache
for each row execute function private.refresh_cached_at();

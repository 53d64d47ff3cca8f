-- How far the sync of each course has come: decides which course is next, and shows why one is not up to date. Sync
-- writes it with each page. The cursor names the pages that are still to be read and the assignments that were seen, so
-- a run that was killed goes on there and can still tell what is missing. At the end of a list it no longer names them.

create table public.course_sync_state (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    course_id uuid not null,
    cursor jsonb not null default '{}',
    last_polled_at timestamptz,
    listed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint course_sync_state_course_id_key unique (course_id),
    constraint course_sync_state_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint course_sync_state_course_id_fkey
        foreign key (course_id, user_id)
        references public.courses(id, user_id) on delete cascade,
    constraint course_sync_state_cursor_check check (jsonb_typeof(cursor) = 'object')
);

create index idx_course_sync_state_user_id on public.course_sync_state (user_id);
create index idx_course_sync_state_course_id on public.course_sync_state (course_id, user_id);
-- for choosing the next course: those never polled come first
create index idx_course_sync_state_last_polled_at on public.course_sync_state (last_polled_at nulls first);

comment on table public.course_sync_state is 'Progress of the sync of one course.';
comment on column public.course_sync_state.id is 'Key.';
comment on column public.course_sync_state.user_id is 'Whose course.';
comment on column public.course_sync_state.course_id is 'Which course.';
comment on column public.course_sync_state.cursor is
    'Keys run, listing, open (addresses of pages still to be read), seen (how many rows), complete_at; until then '
    'also shown and hidden (Canvas ids).';
comment on column public.course_sync_state.last_polled_at is 'When Canvas was last asked about it.';
comment on column public.course_sync_state.listed_at is
    'When its first complete listing ended: assignments that come later are new.';
comment on column public.course_sync_state.created_at is 'When it was first synced.';
comment on column public.course_sync_state.updated_at is 'When the row last changed.';

create trigger trg_course_sync_state_updated_at before update on public.course_sync_state
for each row execute function public.set_updated_at();

create function private.note_first_listing()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.cursor ->> 'complete_at' is not null then
        new.listed_at := private.clock();
    end if;
    return new;
end
$$;

comment on function private.note_first_listing() is
    'BEFORE INSERT OR UPDATE on course_sync_state: records when a complete listing was stored for the first time.';

create trigger trg_course_sync_state_listed before insert or update of cursor on public.course_sync_state
for each row when (new.listed_at is null) execute function private.note_first_listing();

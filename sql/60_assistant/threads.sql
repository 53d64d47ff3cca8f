-- One conversation of a teacher with the assistant. The teacher writes it over REST; its messages may also come from
-- the chat service.

create table public.threads (
    id uuid primary key default gen_random_uuid(),
    teacher_id uuid not null default private.caller_id(),
    title text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint threads_teacher_id_fkey foreign key (teacher_id) references public.teachers(id) on delete cascade,
    constraint threads_id_teacher_id_key unique (id, teacher_id),
    constraint threads_title_check check (char_length(title) <= 500)
);

-- for a teacher's list, newest first
create index idx_threads_teacher_id on public.threads (teacher_id, updated_at desc);

comment on table public.threads is 'Conversations of teachers with the assistant.';
comment on column public.threads.id is 'Identity of the row.';
comment on column public.threads.teacher_id is 'The teacher whose conversation this is.';
comment on column public.threads.title is 'Shown in the list of conversations.';
comment on column public.threads.created_at is 'When the row was written.';
comment on column public.threads.updated_at is 'When the thread or its newest message changed; kept by trigger.';

create trigger trg_threads_columns before update on public.threads
for each row execute function private.keep_columns('title');
create trigger trg_threads_updated_at before update on public.threads
for each row execute function public.set_updated_at();

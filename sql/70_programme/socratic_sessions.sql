-- A dialogue in which the agent asks and the learner finds the answers. The learner opens, renames and closes it; the
-- service writes counts and insights. It is open while ended_at is null, and is never opened again.

create table public.socratic_sessions (
    id uuid primary key default gen_random_uuid(),
    week_id uuid not null,
    user_id uuid not null default private.caller_id(),
    topic text not null,
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    total_questions int not null default 0,
    insights_generated text[] not null default '{}',
    voice_enabled boolean not null default false,
    session_metadata jsonb not null default '{}',
    archived_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint socratic_sessions_user_id_fkey
        foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint socratic_sessions_week_id_fkey
        foreign key (week_id, user_id) references public.weeks(id, user_id) on delete cascade,
    constraint socratic_sessions_topic_check check (char_length(topic) between 1 and 2000),
    constraint socratic_sessions_ended_at_check
        check (ended_at >= started_at and ended_at < '10000-01-01 00:00:00+00'),
    constraint socratic_sessions_total_questions_check check (total_questions >= 0),
    constraint socratic_sessions_session_metadata_check check (jsonb_typeof(session_metadata) = 'object')
);

-- for a learner's list, newest first
create index idx_socratic_sessions_user_id on public.socratic_sessions (user_id, started_at desc);
create index idx_socratic_sessions_week_id on public.socratic_sessions (week_id, user_id);
-- for finding open ones
create index idx_socratic_sessions_open on public.socratic_sessions (user_id) where ended_at is null;
-- for the schedule that archives
create index idx_socratic_sessions_ended on public.socratic_sessions (ended_at)
where ended_at is not null and archived_at is null;

comment on table public.socratic_sessions is 'Socratic dialogues of a learner with the agent.';
comment on column public.socratic_sessions.id is 'Identity of the row.';
comment on column public.socratic_sessions.week_id is 'The week it belongs to; always the learner''s own.';
comment on column public.socratic_sessions.user_id is 'The learner.';
comment on column public.socratic_sessions.topic is 'What it is about.';
comment on column public.socratic_sessions.started_at is 'When it began.';
comment on column public.socratic_sessions.ended_at is 'When the learner closed it; null while open.';
comment on column public.socratic_sessions.total_questions is 'Questions the agent asked.';
comment on column public.socratic_sessions.insights_generated is 'What the learner found out.';
comment on column public.socratic_sessions.voice_enabled is 'Whether it is spoken.';
comment on column public.socratic_sessions.session_metadata is 'More about the dialogue that needs no column.';
comment on column public.socratic_sessions.archived_at is
    'When it was put into the archive, long after its end; archived ones stay readable.';
comment on column public.socratic_sessions.created_at is 'When the row was written.';
comment on column public.socratic_sessions.updated_at is 'When the row last changed; kept by trigger.';

create function private.keep_session_ended()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if old.ended_at is not null and new.ended_at is distinct from old.ended_at then
        raise exception 'the session has ended and cannot be opened again' using errcode = '23514',
            hint = 'Start a new session.';
    end if;
    return new;
end
$$;

comment on function private.keep_session_ended() is
    'BEFORE UPDATE OF ended_at on socratic_sessions: refuses to change the end of an ended dialogue (23514).';

create trigger trg_socratic_sessions_columns before update on public.socratic_sessions
for each row execute function private.keep_columns('topic', 'voice_enabled', 'ended_at');
create trigger trg_socratic_sessions_ended before update of ended_at on public.socratic_sessions
for each row execute function private.keep_session_ended();
create trigger trg_socratic_sessions_updated_at before update on public.socratic_sessions
for each row execute function public.set_updated_at();

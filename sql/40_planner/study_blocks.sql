-- Time that a person sets aside for study. The person writes it; the calendar service writes the calendar columns.
-- Blocks may overlap, as entries of a calendar may.

create table public.study_blocks (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null default private.caller_id(),
    assignment_id uuid,
    start_at timestamptz not null,
    end_at timestamptz not null,
    status public.study_block_status not null default 'planned',
    calendar_provider public.integration_provider,
    calendar_event_id text,
    notes text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint study_blocks_user_id_calendar_provider_calendar_event_id_key
        unique (user_id, calendar_provider, calendar_event_id),
    constraint study_blocks_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    -- the block stays, so that its calendar event can still be removed
    constraint study_blocks_assignment_id_fkey
        foreign key (assignment_id, user_id)
        references public.assignments(id, user_id) on delete set null (assignment_id),
    -- infinite times and years that clients cannot read
    constraint study_blocks_start_at_check check (start_at >= '0001-01-01 00:00:00+00'),
    constraint study_blocks_end_at_check check (end_at > start_at and end_at < '10000-01-01 00:00:00+00'),
    constraint study_blocks_calendar_provider_check check (calendar_provider <> 'canvas'),
    constraint study_blocks_calendar_event_id_check
        check (calendar_event_id is null or calendar_provider is not null),
    constraint study_blocks_notes_check check (char_length(notes) <= 10000)
);

create index idx_study_blocks_user_id on public.study_blocks (user_id, start_at);
create index idx_study_blocks_assignment_id on public.study_blocks (assignment_id, user_id);

comment on table public.study_blocks is 'Time set aside for study.';
comment on column public.study_blocks.id is 'Key.';
comment on column public.study_blocks.user_id is 'Whose time.';
comment on column public.study_blocks.assignment_id is 'The assignment it is for, if any.';
comment on column public.study_blocks.start_at is 'When it begins.';
comment on column public.study_blocks.end_at is 'When it ends; after its begin.';
comment on column public.study_blocks.status is 'What became of it.';
comment on column public.study_blocks.calendar_provider is 'The calendar that has its event.';
comment on column public.study_blocks.calendar_event_id is 'Id of the event in that calendar.';
comment on column public.study_blocks.notes is 'The person''s notes.';
comment on column public.study_blocks.created_at is 'When it was planned.';
comment on column public.study_blocks.updated_at is 'When the row last changed.';

create trigger trg_study_blocks_columns before update on public.study_blocks
for each row execute function private.keep_columns('assignment_id', 'start_at', 'end_at', 'notes', 'status');
create trigger trg_study_blocks_status before insert or update of status on public.study_blocks
for each row execute function private.enforce_transition(
    'status', '>planned',
    'planned>in_progress', 'planned>completed', 'planned>missed', 'planned>cancelled',
    'in_progress>completed', 'in_progress>cancelled',
    'missed>planned', 'missed>completed', 'cancelled>planned'
);

create trigger trg_study_blocks_updated_at before update on public.study_blocks
for each row execute function public.set_updated_at();

-- A headstart as the student reads it. The headstart service writes it, with sanitised HTML; the student may only
-- delete it. It stays when its run is purged.

create table public.headstart_docs (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    assignment_id uuid not null,
    run_id uuid,
    status public.headstart_doc_status not null default 'draft',
    title text,
    content_md text,
    content_html text,
    summary text,
    extra jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint headstart_docs_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint headstart_docs_assignment_id_fkey
        foreign key (assignment_id, user_id)
        references public.assignments(id, user_id) on delete cascade,
    constraint headstart_docs_run_id_fkey
        foreign key (run_id, assignment_id)
        references public.headstart_runs(id, assignment_id) on delete set null (run_id),
    constraint headstart_docs_title_check check (char_length(title) <= 500),
    constraint headstart_docs_content_md_check check (char_length(content_md) <= 400000),
    constraint headstart_docs_content_html_check check (char_length(content_html) <= 1000000),
    constraint headstart_docs_summary_check check (char_length(summary) <= 10000),
    constraint headstart_docs_extra_check check (jsonb_typeof(extra) = 'object')
);

create index idx_headstart_docs_user_id on public.headstart_docs (user_id);
create index idx_headstart_docs_assignment_id on public.headstart_docs (assignment_id, user_id);
create index idx_headstart_docs_run_id on public.headstart_docs (run_id, assignment_id);

comment on table public.headstart_docs is 'A headstart for an assignment; at most one is ready.';
comment on column public.headstart_docs.id is 'Key.';
comment on column public.headstart_docs.user_id is 'For whom.';
comment on column public.headstart_docs.assignment_id is 'For which assignment.';
comment on column public.headstart_docs.run_id is 'The run that wrote it; null once the run is purged.';
comment on column public.headstart_docs.status is 'Its state.';
comment on column public.headstart_docs.title is 'Title.';
comment on column public.headstart_docs.content_md is 'The text in Markdown, as streamed.';
comment on column public.headstart_docs.content_html is 'The same text, rendered and sanitised.';
comment on column public.headstart_docs.summary is 'A few sentences for lists.';
comment on column public.headstart_docs.extra is
    'Keys plan, key_concepts, questions, resources, time_estimate_minutes, suggested_blocks, and sources: the pages '
    'and the syllabus that the model read, with kind, title and url.';
comment on column public.headstart_docs.created_at is 'When it was written.';
comment on column public.headstart_docs.updated_at is 'When the row last changed.';

create trigger trg_headstart_docs_status before insert or update of status on public.headstart_docs
for each row execute function private.enforce_transition(
    'status', '>draft', '>ready', 'draft>ready', 'draft>failed', 'ready>superseded'
);

create trigger trg_headstart_docs_updated_at before update on public.headstart_docs
for each row execute function public.set_updated_at();

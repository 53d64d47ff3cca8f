-- Texts of a description that its author hid from readers: notes for teachers, model solutions. No person and no model
-- ever reads them. The leak guard compares with them what a model writes.

create table private.assignment_notes (
    assignment_id uuid primary key,
    notes text not null,
    constraint assignment_notes_assignment_id_fkey
        foreign key (assignment_id)
        references public.assignments(id) on delete cascade,
    constraint assignment_notes_notes_check check (char_length(notes) between 1 and 100000)
);

comment on table private.assignment_notes is 'What a description hides from its readers, for the leak guard alone.';
comment on column private.assignment_notes.assignment_id is 'In whose description.';
comment on column private.assignment_notes.notes is 'The hidden texts.';

create function public.svc_get_assignment_notes(p_assignment_id uuid)
returns text
language sql
stable
security definer
set search_path = ''
as $$
    select n.notes from private.assignment_notes as n where n.assignment_id = p_assignment_id;
$$;

comment on function public.svc_get_assignment_notes(uuid) is
    'The hidden texts of a description, or null. Compare with them; never show them and never send them to a model.';

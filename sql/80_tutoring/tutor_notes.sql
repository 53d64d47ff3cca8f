-- A tutor's private notes on a session or an assignment, encrypted by the service. Only their author reads them,
-- through svc functions; every reading is audited. They are deleted with the tutor, the student, the session or the
-- assignment.

create table private.tutor_notes (
    id uuid primary key default gen_random_uuid(),
    tutor_id uuid not null,
    student_id uuid not null,
    session_id uuid,
    assignment_id uuid,
    body_enc text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint tutor_notes_tutor_id_fkey foreign key (tutor_id) references public.profiles(user_id) on delete cascade,
    constraint tutor_notes_student_id_fkey
        foreign key (student_id) references public.profiles(user_id) on delete cascade,
    constraint tutor_notes_session_id_fkey
        foreign key (session_id, student_id) references public.tutoring_sessions(id, student_id) on delete cascade,
    constraint tutor_notes_assignment_id_fkey
        foreign key (assignment_id) references public.tutor_student_assignments(id) on delete cascade,
    constraint tutor_notes_parent_check check (num_nonnulls(session_id, assignment_id) = 1),
    constraint tutor_notes_body_enc_check check (body_enc ~ '^v[0-9]+:')
);

create index idx_tutor_notes_tutor_id on private.tutor_notes (tutor_id, student_id);
create index idx_tutor_notes_student_id on private.tutor_notes (student_id);
create index idx_tutor_notes_session_id on private.tutor_notes (session_id, student_id);
create index idx_tutor_notes_assignment_id on private.tutor_notes (assignment_id);

comment on table private.tutor_notes is 'Encrypted notes of tutors, for their author alone.';
comment on column private.tutor_notes.id is 'Identity of the row.';
comment on column private.tutor_notes.tutor_id is 'The author.';
comment on column private.tutor_notes.student_id is 'The student they are about.';
comment on column private.tutor_notes.session_id is 'The session they are about, unless assignment_id is set.';
comment on column private.tutor_notes.assignment_id is 'The assignment they are about, unless session_id is set.';
comment on column private.tutor_notes.body_enc is 'The notes as an envelope v<key>:<base64url>.';
comment on column private.tutor_notes.created_at is 'When the row was written.';
comment on column private.tutor_notes.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_tutor_notes_updated_at before update on private.tutor_notes
for each row execute function public.set_updated_at();

create function public.svc_put_tutor_note(
    p_tutor_id uuid,
    p_student_id uuid,
    p_body_enc text,
    p_session_id uuid default null,
    p_assignment_id uuid default null,
    p_id uuid default null
)
returns uuid
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_id uuid;
begin
    if p_tutor_id is null or p_student_id is null or p_body_enc is null then
        raise exception 'p_tutor_id, p_student_id and p_body_enc must not be null' using errcode = '22004';
    end if;
    if num_nonnulls(p_session_id, p_assignment_id) <> 1 then
        raise exception 'exactly one of p_session_id and p_assignment_id must be given' using errcode = '22023';
    end if;
    if not exists (
        select from public.tutoring_sessions as s
        where s.id = p_session_id and s.student_id = p_student_id and s.tutor_id = p_tutor_id
    ) and not exists (
        select from public.tutor_student_assignments as a
        where a.id = p_assignment_id and a.student_id = p_student_id and a.tutor_id = p_tutor_id
    ) then
        raise exception 'this tutor and student have no session p_session_id or assignment p_assignment_id'
            using errcode = 'PT404';
    end if;
    insert into private.tutor_notes as n (id, tutor_id, student_id, session_id, assignment_id, body_enc)
    values (
        coalesce(p_id, gen_random_uuid()), p_tutor_id, p_student_id, p_session_id, p_assignment_id, p_body_enc
    )
    on conflict (id) do update set body_enc = excluded.body_enc
    where n.tutor_id = excluded.tutor_id
        and n.student_id = excluded.student_id
        and n.session_id is not distinct from excluded.session_id
        and n.assignment_id is not distinct from excluded.assignment_id
    returning id into v_id;
    if v_id is null then
        raise exception 'no note of this tutor about this session or assignment has the id in p_id'
            using errcode = 'PT404';
    end if;
    return v_id;
end
$$;

comment on function public.svc_put_tutor_note(uuid, uuid, text, uuid, uuid, uuid) is
    'Stores a note, or replaces the body of the author''s note p_id, and returns its id. The caller chooses p_id for '
    'a new note, because the envelope is bound to it. PT404 when the session, the assignment or the note is not this '
    'tutor''s.';

create function public.svc_list_tutor_notes(p_tutor_id uuid, p_student_id uuid)
returns table (
    id uuid, session_id uuid, assignment_id uuid, body_enc text, created_at timestamptz, updated_at timestamptz
)
language plpgsql
-- volatile, because it writes to the audit log
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
begin
    if p_tutor_id is null or p_student_id is null then
        raise exception 'p_tutor_id and p_student_id must not be null' using errcode = '22004';
    end if;
    perform private.write_audit(
        'read', 'tutor_notes', null, p_student_id, jsonb_build_object('tutor_id', p_tutor_id)
    );
    return query
    select n.id, n.session_id, n.assignment_id, n.body_enc, n.created_at, n.updated_at
    from private.tutor_notes as n
    where n.tutor_id = p_tutor_id and n.student_id = p_student_id
    order by n.created_at, n.id;
end
$$;

comment on function public.svc_list_tutor_notes(uuid, uuid) is
    'A tutor''s own notes on a student, oldest first. The reading is audited.';

create function public.svc_delete_tutor_note(p_id uuid, p_tutor_id uuid)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    delete from private.tutor_notes where id = p_id and tutor_id = p_tutor_id;
    return found;
end
$$;

comment on function public.svc_delete_tutor_note(uuid, uuid) is
    'Deletes a note of this author; false when the author has no such note.';

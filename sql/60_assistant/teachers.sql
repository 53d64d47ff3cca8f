-- A teacher at one Canvas installation. The LTI launch and the Canvas connection write it; teachers may only correct
-- their names. The Canvas token is not here: it belongs to the teacher's integration, in the schema private.

create table public.teachers (
    id uuid primary key,
    lms_connection_id uuid not null,
    canvas_user_id text not null,
    name text,
    email text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),

    constraint teachers_id_fkey foreign key (id) references public.profiles(user_id) on delete cascade,
    constraint teachers_lms_connection_id_fkey
        foreign key (lms_connection_id) references public.lms_connections(id) on delete restrict,
    constraint teachers_lms_connection_id_canvas_user_id_key unique (lms_connection_id, canvas_user_id),
    constraint teachers_canvas_user_id_check check (char_length(canvas_user_id) between 1 and 255),
    constraint teachers_name_check check (char_length(name) <= 500),
    constraint teachers_email_check check (char_length(email) <= 320)
);

comment on table public.teachers is
    'Teachers: one row per account with the role teacher, tied to a Canvas installation.';
comment on column public.teachers.id is
    'The id of the teacher''s account, so policies of this room ask for teacher_id = private.caller_id().';
comment on column public.teachers.lms_connection_id is 'The Canvas installation of the teacher''s school.';
comment on column public.teachers.canvas_user_id is 'The teacher''s id in Canvas; unique within the installation.';
comment on column public.teachers.name is 'The name as Canvas or the teacher gave it.';
comment on column public.teachers.email is 'Contact address at Canvas; signing in uses auth.users.email.';
comment on column public.teachers.created_at is 'When the row was written.';
comment on column public.teachers.updated_at is 'When the row last changed; kept by trigger.';

create trigger trg_teachers_columns before update on public.teachers
for each row execute function private.keep_columns('name');
create trigger trg_teachers_role after insert or update of id on public.teachers
for each row execute function private.check_profile_role('id', 'teacher');
create trigger trg_teachers_updated_at before update on public.teachers
for each row execute function public.set_updated_at();

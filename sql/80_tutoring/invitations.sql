-- A student invites a parent or a tutor with a code. The code is shown once and stored as its hash. Whoever redeems it
-- must have the role it is for; every other try gets the same answer, so a code cannot be explored.

create table private.invitations (
    code_hash text not null,
    kind public.invitation_kind not null,
    created_by uuid not null,
    subject_id uuid,
    expires_at timestamptz not null,
    used_at timestamptz,
    used_by uuid,
    created_at timestamptz not null default now(),

    constraint invitations_pkey primary key (code_hash),
    constraint invitations_created_by_fkey
        foreign key (created_by) references public.profiles(user_id) on delete cascade,
    constraint invitations_used_by_fkey foreign key (used_by) references public.profiles(user_id) on delete set null,
    constraint invitations_subject_id_fkey foreign key (subject_id) references public.subjects(id) on delete cascade,
    constraint invitations_code_hash_check check (code_hash ~ '^[0-9a-f]{64}$'),
    constraint invitations_subject_check check (kind = 'tutor' or subject_id is null)
);

create index idx_invitations_created_by on private.invitations (created_by);
create index idx_invitations_used_by on private.invitations (used_by);
create index idx_invitations_subject_id on private.invitations (subject_id);
-- for retention
create index idx_invitations_expires_at on private.invitations (expires_at);

comment on table private.invitations is 'Codes with which students invite parents and tutors.';
comment on column private.invitations.code_hash is 'SHA-256 of the code, in hexadecimal digits.';
comment on column private.invitations.kind is 'What whoever redeems it becomes.';
comment on column private.invitations.created_by is 'The student who invites.';
comment on column private.invitations.subject_id is 'The one subject a tutor is invited for; null: all.';
comment on column private.invitations.expires_at is 'Until when it can be redeemed.';
comment on column private.invitations.used_at is 'When it was redeemed; a code works once.';
comment on column private.invitations.used_by is 'Who redeemed it; null again when that account is deleted.';
comment on column private.invitations.created_at is 'When it was made.';

create function private.new_invitation_code()
returns text
language sql
volatile
set search_path = ''
as $$
    -- 32 characters divide 256 evenly, so each is as likely; bytes 6 and 8 of a UUID are not random and are left out
    select string_agg(
        substr('ABCDEFGHJKLMNPQRSTUVWXYZ23456789', get_byte(random.bytes, place) % 32 + 1, 1), '' order by place
    )
    from (select uuid_send(gen_random_uuid()) as bytes) as random,
        unnest('{0, 1, 2, 3, 4, 5, 9, 10, 11, 12}'::int[]) as place;
$$;

comment on function private.new_invitation_code() is
    'Ten random characters, without those that look like another (I, O, 0, 1).';

create function private.invitation_hash(p_code text)
returns text
language sql
immutable
set search_path = ''
as $$
    -- as people type it: in small letters, with spaces or dashes
    select encode(sha256(convert_to(upper(regexp_replace(p_code, '[[:space:]-]', '', 'g')), 'UTF8')), 'hex');
$$;

comment on function private.invitation_hash(text) is 'How a code is stored; case, spaces and dashes do not count.';

create function private.create_invitation(p_kind public.invitation_kind, p_subject_id uuid)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.require_caller();
    v_code constant text := private.new_invitation_code();
begin
    if p_kind is null then
        raise exception 'p_kind must not be null' using errcode = '22004';
    end if;
    if p_kind <> 'tutor' and p_subject_id is not null then
        raise exception 'p_subject_id must be null unless p_kind is tutor' using errcode = '22023';
    end if;
    perform from public.profiles where user_id = v_me and role = 'student';
    if not found then
        raise exception 'only a student can invite' using errcode = '42501';
    end if;
    perform private.take_rate('create_invitation:' || v_me, 20, 3600);
    insert into private.invitations (code_hash, kind, created_by, subject_id, expires_at)
    values (
        private.invitation_hash(v_code), p_kind, v_me, p_subject_id, private.clock() + interval '7 days'
    );
    return v_code;
end
$$;

comment on function private.create_invitation(public.invitation_kind, uuid) is 'Behind public.create_invitation().';

create function public.create_invitation(p_kind public.invitation_kind, p_subject_id uuid default null)
returns text
language sql
volatile
set search_path = ''
begin atomic
    select private.create_invitation(p_kind, p_subject_id);
end;

comment on function public.create_invitation(public.invitation_kind, uuid) is
    'A student invites a parent (guardian) or a tutor, in one subject or in all. Returns the code, once; it works '
    'once, for 7 days. 42501 for others, 23503 for an unknown subject, 429 past 20 an hour.';

create function private.accept_guardian(p_parent_id uuid, p_student_id uuid)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row public.guardianships;
begin
    insert into public.guardianships as g (parent_id, student_id) values (p_parent_id, p_student_id)
    on conflict (parent_id, student_id) do update set status = 'pending' where g.status = 'revoked';
    update public.guardianships
    set status = 'active', consent_basis = 'student_consent', consented_by = p_student_id,
        consented_at = private.clock()
    where parent_id = p_parent_id and student_id = p_student_id and status = 'pending';
    select * into v_row from public.guardianships where parent_id = p_parent_id and student_id = p_student_id;
    return to_jsonb(v_row);
end
$$;

comment on function private.accept_guardian(uuid, uuid) is
    'Makes the guardianship active. The code that the student gave out is the consent.';

create function private.accept_tutor(p_tutor_id uuid, p_student_id uuid, p_subject_id uuid)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_row public.tutor_student_assignments;
begin
    insert into public.tutor_student_assignments (tutor_id, student_id, subject_id)
    values (p_tutor_id, p_student_id, p_subject_id)
    on conflict on constraint tutor_student_assignments_tutor_id_student_id_subject_id_key do nothing;
    -- staff may have paused or ended it, and a student's code must not undo that
    select * into v_row from public.tutor_student_assignments
    where tutor_id = p_tutor_id and student_id = p_student_id
        and subject_id is not distinct from p_subject_id and status = 'active';
    return case when found then to_jsonb(v_row) end;
end
$$;

comment on function private.accept_tutor(uuid, uuid, uuid) is
    'The active assignment, made when there was none; null when staff have paused or ended it.';

create function private.redeem_invitation(p_code text)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_me constant uuid := private.require_caller();
    v_role public.user_role;
    v_invitation private.invitations;
    v_row jsonb;
begin
    if p_code is null then
        raise exception 'p_code must not be null' using errcode = '22004';
    end if;
    perform private.take_rate('redeem_invitation:' || v_me, 10, 3600);
    -- a longer text is no code, and hashing it would cost
    if char_length(p_code) > 100 then
        return null;
    end if;
    select * into v_invitation from private.invitations
    where code_hash = private.invitation_hash(p_code) and used_at is null and expires_at > private.clock()
    for update;
    if not found then
        return null;
    end if;
    perform from public.profiles where user_id = v_invitation.created_by and role = 'student';
    if not found then
        return null;
    end if;
    select role into v_role from public.profiles where user_id = v_me;
    v_row := case
        when v_invitation.kind = 'guardian' and v_role = 'parent'
            then private.accept_guardian(v_me, v_invitation.created_by)
        when v_invitation.kind = 'tutor' and v_role = 'tutor'
            then private.accept_tutor(v_me, v_invitation.created_by, v_invitation.subject_id)
    end;
    if v_row is not null then
        update private.invitations set used_at = private.clock(), used_by = v_me
        where code_hash = v_invitation.code_hash;
    end if;
    return v_row;
end
$$;

comment on function private.redeem_invitation(text) is 'Behind public.redeem_invitation().';

create function public.redeem_invitation(p_code text)
returns jsonb
language sql
volatile
set search_path = ''
begin atomic
    select private.redeem_invitation(p_code);
end;

comment on function public.redeem_invitation(text) is
    'A parent or a tutor redeems a student''s code: the guardianships or tutor_student_assignments row, now active. '
    'Null for a code that is unknown, used, expired, one''s own or for another role. 429 past 10 tries an hour.';

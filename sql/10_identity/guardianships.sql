-- Which parent may see which student. A parent account alone shows nothing: access begins with a recorded consent and
-- ends on revocation or after valid_until. Staff propose and verify, the student answers with respond_guardianship, and
-- either side ends it with revoke_guardianship. Every change is audited.

create table public.guardianships (
    id uuid primary key default gen_random_uuid(),
    parent_id uuid not null,
    student_id uuid not null,
    status public.guardianship_status not null default 'pending',
    relationship text,
    consent_basis public.consent_basis,
    consented_by uuid,
    consented_at timestamptz,
    valid_until date,
    revoked_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint guardianships_parent_id_student_id_key unique (parent_id, student_id),
    constraint guardianships_parent_id_fkey
        foreign key (parent_id)
        references public.profiles(user_id) on delete cascade,
    constraint guardianships_student_id_fkey
        foreign key (student_id)
        references public.profiles(user_id) on delete cascade,
    constraint guardianships_consented_by_fkey
        foreign key (consented_by)
        references public.profiles(user_id) on delete set null,
    constraint guardianships_self_check check (parent_id <> student_id),
    constraint guardianships_relationship_check check (char_length(relationship) <= 100),
    constraint guardianships_consent_check
        check (status <> 'active' or (consent_basis is not null and consented_at is not null)),
    -- infinite days and years that clients cannot read
    constraint guardianships_valid_until_check check (valid_until between '0001-01-01' and '9999-12-31'),
    constraint guardianships_minor_check
        check (consent_basis is distinct from 'minor_verified' or valid_until is not null)
);

create index idx_guardianships_student_id on public.guardianships (student_id);
-- for private.my_guardians()
create index idx_guardianships_student_id_active on public.guardianships (student_id, parent_id)
where status = 'active';
create index idx_guardianships_consented_by on public.guardianships (consented_by);

comment on table public.guardianships is 'A parent''s right to see a student''s learning, and the consent behind it.';
comment on column public.guardianships.id is 'Key.';
comment on column public.guardianships.parent_id is 'The adult; must have role parent.';
comment on column public.guardianships.student_id is 'The child; must have role student.';
comment on column public.guardianships.status is 'Only active gives access.';
comment on column public.guardianships.relationship is 'For people to read: mother, uncle, carer.';
comment on column public.guardianships.consent_basis is 'Why access is lawful; required while active.';
comment on column public.guardianships.consented_by is 'Who recorded the consent: the student, or staff for a minor.';
comment on column public.guardianships.consented_at is 'When consent was recorded; required while active.';
comment on column public.guardianships.valid_until is
    'Last day of access, in UTC, inclusive; required for minor_verified.';
comment on column public.guardianships.revoked_at is 'When it was last revoked.';
comment on column public.guardianships.created_at is 'When it was proposed.';
comment on column public.guardianships.updated_at is 'When the row last changed.';

create function private.stamp_guardianship()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    if new.status = 'active' then
        new.consented_at := coalesce(new.consented_at, private.clock());
        new.consented_by := coalesce(new.consented_by, private.caller_id());
    elsif new.status = 'revoked' then
        new.revoked_at := private.clock();
    else
        -- asked for again: the old consent does not cover the new request
        new.consent_basis := null;
        new.consented_by := null;
        new.consented_at := null;
        new.valid_until := null;
        new.revoked_at := null;
    end if;
    return new;
end
$$;

comment on function private.stamp_guardianship() is
    'BEFORE UPDATE on guardianships when status changes: records who consented and when, or when it ended.';

create trigger trg_guardianships_roles after insert or update of parent_id, student_id on public.guardianships
for each row execute function private.check_profile_role('parent_id', 'parent', 'student_id', 'student');

create trigger trg_guardianships_stamp before update of status on public.guardianships
for each row when (old.status is distinct from new.status)
execute function private.stamp_guardianship();

create trigger trg_guardianships_status before insert or update of status on public.guardianships
for each row execute function private.enforce_transition(
    'status', '>pending', 'pending>active', 'pending>revoked', 'active>revoked', 'revoked>pending'
);

create trigger trg_guardianships_updated_at before update on public.guardianships
for each row execute function public.set_updated_at();

create trigger trg_guardianships_audit after insert or update or delete on public.guardianships
for each row execute function private.audit(
    'id', 'student_id', 'parent_id', 'student_id', 'status', 'consent_basis', 'consented_by', 'valid_until'
);

-- The student answers a parent's request. Both sides can end it.

create function private.respond_guardianship(p_id uuid, p_accept boolean)
returns public.guardianships
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_row public.guardianships;
begin
    if p_id is null or p_accept is null then
        raise exception 'p_id and p_accept must not be null' using errcode = '22004';
    end if;
    select * into v_row from public.guardianships
    where id = p_id and v_caller in (parent_id, student_id) for update;
    if not found then
        raise exception 'no guardianship of yours has the id in p_id' using errcode = 'PT404';
    end if;
    if v_row.student_id <> v_caller then
        raise exception 'only the student can answer this request' using errcode = '42501',
            hint = 'A parent can end it with revoke_guardianship.';
    end if;
    if v_row.status <> 'pending' then
        raise exception 'the request was already answered or ended' using errcode = '23514',
            hint = 'Read its status.';
    end if;
    if p_accept then
        update public.guardianships
        set status = 'active', consent_basis = 'student_consent', consented_by = v_caller,
            consented_at = private.clock()
        where id = p_id returning * into v_row;
    else
        update public.guardianships set status = 'revoked' where id = p_id returning * into v_row;
    end if;
    return v_row;
end
$$;

comment on function private.respond_guardianship(uuid, boolean) is 'Behind public.respond_guardianship().';

create function public.respond_guardianship(p_id uuid, p_accept boolean)
returns public.guardianships
language sql
volatile
set search_path = ''
begin atomic
    select private.respond_guardianship(p_id, p_accept);
end;

comment on function public.respond_guardianship(uuid, boolean) is
    'The student accepts or refuses a pending guardianship; accepting it is the consent. 42501 for the parent, PT404 '
    'for others, 23514 when it is not pending.';

create function private.revoke_guardianship(p_id uuid)
returns public.guardianships
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_row public.guardianships;
begin
    if p_id is null then
        raise exception 'p_id must not be null' using errcode = '22004';
    end if;
    update public.guardianships set status = 'revoked'
    where id = p_id and v_caller in (parent_id, student_id) returning * into v_row;
    if not found then
        raise exception 'no guardianship of yours has the id in p_id' using errcode = 'PT404';
    end if;
    return v_row;
end
$$;

comment on function private.revoke_guardianship(uuid) is 'Behind public.revoke_guardianship().';

create function public.revoke_guardianship(p_id uuid)
returns public.guardianships
language sql
volatile
set search_path = ''
begin atomic
    select private.revoke_guardianship(p_id);
end;

comment on function public.revoke_guardianship(uuid) is
    'The parent or the student ends a pending or active guardianship; access stops at once. Safe to repeat. PT404 for '
    'anybody else.';

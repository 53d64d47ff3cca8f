-- Makes the rows that the sign-up trigger makes, for an account that lacks them because the trigger failed.

create function private.ensure_profile()
returns public.profiles
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_profile public.profiles;
begin
    perform private.create_profile(u.id, u.raw_app_meta_data, u.raw_user_meta_data)
    from auth.users as u where u.id = v_caller;
    select * into v_profile from public.profiles where user_id = v_caller;
    if not found then
        raise exception 'the account no longer exists' using errcode = 'PT404', hint = 'Sign in again.';
    end if;
    return v_profile;
end
$$;

comment on function private.ensure_profile() is 'Behind public.ensure_profile().';

create function public.ensure_profile()
returns public.profiles
language sql
volatile
set search_path = ''
begin atomic
    select private.ensure_profile();
end;

comment on function public.ensure_profile() is
    'The caller''s profile. Makes it when it is missing, with settings and statistics. PT404 when the account is '
    'deleted.';

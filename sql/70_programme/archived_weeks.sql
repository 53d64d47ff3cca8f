-- Archived weeks are readable only: nothing is added to them, and their learner may delete but change nothing. Whoever
-- adds to a week locks the person's profile, then the week, so that it is not archived meanwhile. Deletions have that
-- order, too.

create function private.lock_week(p_week_id uuid, p_user_id uuid)
returns public.week_status
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform from public.profiles where user_id = p_user_id for key share;
    return (select status from public.weeks where id = p_week_id and user_id = p_user_id for share);
end
$$;

comment on function private.lock_week(uuid, uuid) is
    'The status of a person''s week, which is neither deleted nor archived until the transaction ends. Null when it '
    'is missing or not theirs.';

create function private.refuse_archived_week()
returns void
language sql
stable
set search_path = ''
as $$
    select private.refuse(
        409, 'week_archived', 'the week is archived: it can be read, and nothing is added to it', 'Choose a newer week.'
    );
$$;

comment on function private.refuse_archived_week() is 'Refuses a client''s write to an archived week.';

create function private.keep_archived_week()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- a whole row may be sent back as it was read
    if to_jsonb(new) - 'updated_at' is distinct from to_jsonb(old) - 'updated_at' then
        perform private.refuse_archived_week();
    end if;
    return new;
end
$$;

comment on function private.keep_archived_week() is
    'BEFORE UPDATE on weeks, of an archived one by a client: refuses every change with week_archived.';

-- the database's own writes pass: a course that is deleted leaves the weeks that it was linked to
create trigger trg_weeks_final before update on public.weeks
for each row when (old.status = 'archived' and current_user in ('authenticated', 'app_admin'))
execute function private.keep_archived_week();

create function private.check_week_is_open()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_week_id uuid;
    v_user_id uuid;
begin
    if tg_table_name = 'socratic_messages' then
        select week_id, user_id into v_week_id, v_user_id from public.socratic_sessions where id = new.session_id;
    else
        v_week_id := new.week_id;
        v_user_id := new.user_id;
    end if;
    -- of other people's weeks nothing is told: policies refuse the row. Nobody calls when the service writes
    if coalesce(private.caller_id(), v_user_id) = v_user_id
        and private.lock_week(v_week_id, v_user_id) = 'archived'
    then
        perform private.refuse_archived_week();
    end if;
    return new;
end
$$;

comment on function private.check_week_is_open() is
    'BEFORE INSERT on what belongs to a week, and before a Socratic session is renamed: refuses an archived week with '
    'week_archived.';

-- an anonymous sign-in calls as nobody, too, and policies refuse it
create trigger trg_socratic_sessions_week before insert or update of topic, voice_enabled on public.socratic_sessions
for each row when (current_user not in ('authenticated', 'app_admin') or private.caller_id() is not null)
execute function private.check_week_is_open();
create trigger trg_socratic_messages_week before insert on public.socratic_messages
for each row when (current_user not in ('authenticated', 'app_admin') or private.caller_id() is not null)
execute function private.check_week_is_open();
create trigger trg_reviews_week before insert on public.reviews
for each row when (
    new.week_id is not null
    and (current_user not in ('authenticated', 'app_admin') or private.caller_id() is not null)
)
execute function private.check_week_is_open();

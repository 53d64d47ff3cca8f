-- Jobs go with their person or week. The cascades of such a deletion would lock jobs in an order of their own, while a
-- completion locks its jobs in the order of their ids: each could wait for the other. So a deletion locks them first.

create function private.lock_jobs_of_owner()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    -- all of the owner's, also for one week: the same statement may delete others
    perform from public.jobs where user_id = old.user_id order by id for update;
    return old;
end
$$;

comment on function private.lock_jobs_of_owner() is
    'BEFORE DELETE of a profile or week: locks its owner''s jobs in the order in which completions lock them. The '
    'profile is locked already, so no job is added to it meanwhile.';

create trigger trg_profiles_jobs before delete on public.profiles
for each row execute function private.lock_jobs_of_owner();

create trigger trg_weeks_jobs before delete on public.weeks
for each row execute function private.lock_jobs_of_owner();

create function private.refill_slots()
returns trigger
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    perform private.fill_slots(array(select user_id from gone where status in ('queued', 'running')));
    return null;
end
$$;

comment on function private.refill_slots() is 'AFTER DELETE on jobs: the slots of live jobs are free again.';

create trigger trg_jobs_slots after delete on public.jobs referencing old table as gone
for each statement execute function private.refill_slots();

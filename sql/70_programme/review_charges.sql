-- From which period of a quota a review in work was taken: one that fails gives it back there. A review is counted
-- where its row is made and where it is tried again, and never by its job, however often that runs.

create table private.review_charges (
    review_id uuid primary key,
    period_start timestamptz not null,
    constraint review_charges_review_id_fkey foreign key (review_id) references public.reviews(id) on delete cascade
);

comment on table private.review_charges is 'Reviews in work that count on the meter code_reviews.';
comment on column private.review_charges.review_id is 'Which review.';
comment on column private.review_charges.period_start is 'The period of the quota it was taken from.';

create function private.charge_review(p_review_id uuid, p_user_id uuid)
returns table (taken boolean, used bigint, max_used bigint, period_end timestamptz)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_usage record;
begin
    select * into v_usage from public.svc_take_usage(p_user_id, 'code_reviews', 1);
    if v_usage.taken then
        insert into private.review_charges (review_id, period_start) values (p_review_id, v_usage.period_start);
    end if;
    return query select v_usage.taken, v_usage.used, v_usage.max_used, v_usage.period_end;
end
$$;

comment on function private.charge_review(uuid, uuid) is
    'Counts a review on its person''s meter code_reviews, and remembers the period. taken false: the quota is used up.';

create function private.settle_review()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_period timestamptz;
begin
    -- Who is being deleted needs neither. To wait for the deletion would be a deadlock: it wants this review.
    perform from public.profiles where user_id = new.user_id for key share skip locked;
    if not found then
        return null;
    end if;
    delete from private.review_charges where review_id = new.id returning period_start into v_period;
    if found and new.status = 'failed' then
        perform public.svc_return_usage(new.user_id, 'code_reviews', 1, v_period);
    end if;
    if new.status = 'completed' then
        insert into public.notifications (user_id, type, status, title, body, payload, event_key, created_at)
        values (
            new.user_id, 'review_ready', 'sent', 'Your code review is ready', new.github_url,
            jsonb_strip_nulls(jsonb_build_object('review_id', new.id, 'week_id', new.week_id)),
            'review_ready:' || new.id, private.clock()
        )
        on conflict (user_id, event_key) where event_key is not null do nothing;
    end if;
    return null;
end
$$;

comment on function private.settle_review() is
    'AFTER UPDATE of status on reviews that end: a failed one gives its quota back, and of a completed one its person '
    'is told once.';

create trigger trg_reviews_settle after update of status on public.reviews
for each row when (old.status is distinct from new.status and new.status in ('completed', 'failed'))
execute function private.settle_review();

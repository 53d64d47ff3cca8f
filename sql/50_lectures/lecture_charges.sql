-- Whose quota a lecture's minutes were taken from: the person who submitted it first. Kept while the lecture is in
-- work, so that a lecture that fails gives back what it took. Written by svc_store_lecture_audio.

create table private.lecture_charges (
    lecture_id uuid primary key,
    user_id uuid not null,
    minutes int not null,
    period_start timestamptz not null,
    constraint lecture_charges_lecture_id_fkey
        foreign key (lecture_id)
        references public.lectures(id) on delete cascade,
    constraint lecture_charges_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint lecture_charges_minutes_check check (minutes > 0)
);

create index idx_lecture_charges_user_id on private.lecture_charges (user_id);

comment on table private.lecture_charges is 'Minutes that a lecture in work took from a quota.';
comment on column private.lecture_charges.lecture_id is 'Which lecture.';
comment on column private.lecture_charges.user_id is 'Whose quota.';
comment on column private.lecture_charges.minutes is 'How many minutes, begun ones counted.';
comment on column private.lecture_charges.period_start is 'The period of the quota they were taken from.';

create function private.settle_lecture()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_charge private.lecture_charges;
begin
    delete from private.lecture_pieces where lecture_id = new.id;
    delete from private.lecture_charges where lecture_id = new.id returning * into v_charge;
    if found and new.status = 'failed' then
        perform public.svc_return_usage(
            v_charge.user_id, 'lecture_minutes', v_charge.minutes, v_charge.period_start
        );
    end if;
    if new.status = 'failed' then
        -- of a lecture without a transcript nothing is found
        delete from private.source_chunks where lecture_id = new.id;
    end if;
    insert into public.notifications (user_id, type, status, title, body, payload, created_at)
    select
        u.user_id,
        (case new.status when 'completed' then 'lecture_ready' else 'lecture_failed' end)::public.notification_type,
        'sent',
        case new.status when 'completed' then 'Your lecture is ready' else 'A lecture could not be read' end,
        new.title,
        jsonb_build_object('lecture_id', new.id),
        private.clock()
    from public.user_lectures as u
    where u.lecture_id = new.id
    order by u.user_id;
    return null;
end
$$;

comment on function private.settle_lecture() is
    'AFTER UPDATE on lectures that end: a failed one gives its minutes back, and everybody who follows the lecture '
    'gets one notification. The transcribed pieces go, and the fragments of a failed one.';

create trigger trg_lectures_settle after update of status on public.lectures
for each row when (old.status is distinct from new.status and new.status in ('completed', 'failed'))
execute function private.settle_lecture();

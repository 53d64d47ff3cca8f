-- Who follows which lecture. A link is the right to see the lecture, so only svc_submit_lecture makes links; people may
-- delete their own.

create table public.user_lectures (
    user_id uuid not null,
    lecture_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (user_id, lecture_id),
    constraint user_lectures_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint user_lectures_lecture_id_fkey
        foreign key (lecture_id)
        references public.lectures(id) on delete cascade
);

create index idx_user_lectures_lecture_id on public.user_lectures (lecture_id);

comment on table public.user_lectures is 'A person''s link to a lecture.';
comment on column public.user_lectures.user_id is 'Who follows it.';
comment on column public.user_lectures.lecture_id is 'Which lecture.';
comment on column public.user_lectures.created_at is 'Since when.';

create function private.my_lectures()
returns uuid[]
language sql
stable
security definer
set search_path = ''
as $$
    select coalesce(array_agg(lecture_id), '{}') from public.user_lectures where user_id = (select private.caller_id());
$$;

comment on function private.my_lectures() is 'The lectures the caller follows, for the policy of lectures.';

create function private.delete_orphan_lecture()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
    -- a new link holds a key share lock on the lecture: this waits for it and then sees it, or it waits for this and
    -- fails
    perform from public.lectures where id = old.lecture_id for update;
    delete from public.lectures as l
    where l.id = old.lecture_id
        and not exists (select from public.user_lectures as u where u.lecture_id = l.id);
    return null;
end
$$;

comment on function private.delete_orphan_lecture() is
    'AFTER DELETE on user_lectures: deletes the lecture when the link was its last one, whatever its status.';

create trigger trg_user_lectures_orphan after delete on public.user_lectures
for each row execute function private.delete_orphan_lecture();

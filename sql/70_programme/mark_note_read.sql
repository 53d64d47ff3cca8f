create function private.mark_note_read(p_kind text, p_id uuid)
returns timestamptz
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_caller constant uuid := private.require_caller();
    v_week public.weeks;
    v_read_at timestamptz;
begin
    if p_kind is null or p_id is null then
        raise exception 'p_kind and p_id must not be null' using errcode = '22004';
    end if;
    if p_kind not in ('clo', 'engineer') then
        raise exception 'p_kind must be clo or engineer' using errcode = '22023';
    end if;
    -- the person and the week come before the note, as when one of them is deleted
    perform from public.profiles where user_id = v_caller for key share;
    select * into v_week from public.weeks as w
    where w.user_id = v_caller
        and w.id = case p_kind
            when 'clo' then (select week_id from public.clo_notes where id = p_id)
            else (select week_id from public.engineer_notes where id = p_id)
        end
    for no key update;
    if p_kind = 'clo' then
        select read_at into v_read_at from public.clo_notes where id = p_id and week_id = v_week.id for update;
    else
        select read_at into v_read_at from public.engineer_notes where id = p_id and week_id = v_week.id for update;
    end if;
    if not found then
        raise exception 'no note of yours has the id in p_id' using errcode = 'PT404';
    end if;
    if v_read_at is not null then
        return v_read_at;
    end if;
    if v_week.status = 'archived' then
        perform private.refuse_archived_week();
    end if;
    v_read_at := private.clock();
    if p_kind = 'clo' then
        update public.clo_notes set read_at = v_read_at where id = p_id;
    else
        update public.engineer_notes set read_at = v_read_at where id = p_id;
    end if;
    perform private.measure_week(v_week.id);
    return v_read_at;
end
$$;

comment on function private.mark_note_read(text, uuid) is 'Behind public.mark_note_read().';

create function public.mark_note_read(p_kind text, p_id uuid)
returns timestamptz
language sql
volatile
set search_path = ''
begin atomic
    select private.mark_note_read(p_kind, p_id);
end;

comment on function public.mark_note_read(text, uuid) is
    'Records that the caller read a note of their week and returns when: the first time stays. p_kind is clo or '
    'engineer. PT404 for another person''s, 22023 for another kind; week_archived for one that was not read before '
    'its week was archived.';

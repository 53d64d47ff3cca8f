-- Teachers add pages and files of Canvas as content sources.
-- Touches: public.svc_add_canvas_source (new).
-- Undo: drop the function.

set lock_timeout = '5s';

create function public.svc_add_canvas_source(
    p_teacher_id uuid, p_class_id uuid, p_kind text, p_title text, p_source_url text, p_metadata jsonb
)
returns table (content_source_id uuid, job_id uuid)
language plpgsql
volatile
security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_row public.content_sources;
    v_job uuid;
begin
    if num_nulls(p_teacher_id, p_kind, p_title, p_source_url, p_metadata) > 0 then
        raise exception 'p_teacher_id, p_kind, p_title, p_source_url and p_metadata must not be null'
            using errcode = '22004';
    end if;
    if p_kind not in ('canvas_page', 'canvas_file') then
        raise exception 'p_kind must be canvas_page or canvas_file' using errcode = '22023';
    end if;
    if p_class_id is not null and not exists (
        select from public.classes where id = p_class_id and teacher_id = p_teacher_id
    ) then
        raise exception 'no class of this teacher has the id in p_class_id' using errcode = 'PT404';
    end if;
    -- one addition of a teacher at a time: the second waits here, then sees the first
    perform from public.teachers where id = p_teacher_id for no key update;
    select * into v_row from public.content_sources
    where teacher_id = p_teacher_id and class_id is not distinct from p_class_id
        and kind = p_kind::public.content_source_kind and source_url = p_source_url
    order by created_at limit 1 for update;
    if not found then
        insert into public.content_sources (teacher_id, class_id, kind, title, source_url, metadata)
        values (
            p_teacher_id, p_class_id, p_kind::public.content_source_kind, p_title, p_source_url, p_metadata
        )
        returning * into v_row;
    elsif v_row.status in ('failed', 'ready') then
        update public.content_sources
        set status = 'pending', error_message = null, metadata = metadata || p_metadata
        where id = v_row.id;
    end if;
    -- A trigger has enqueued the job of a new row. The job that wrote the state of an old one may not have ended yet;
    -- joined, it would never look again.
    select job_id into v_job from public.svc_enqueue_job(
        p_type => 'content_source', p_payload => jsonb_build_object('content_source_id', v_row.id),
        p_user_id => p_teacher_id, p_dedupe_key => 'content_sources:' || v_row.id, p_dedupe_mode => 'queued'
    );
    return query select v_row.id, v_job;
end
$$;

comment on function public.svc_add_canvas_source(uuid, uuid, text, text, text, jsonb) is
    'Adds a page or file of Canvas and has it read, or has it read again when the teacher has added it for this class '
    'before; the row and its live job. PT404 when the class is not theirs.';

grant execute on function public.svc_add_canvas_source(uuid, uuid, text, text, text, jsonb) to service_role;

create function public.svc_submit_lecture(
    p_user_id uuid,
    p_catalog_course_id uuid,
    p_panopto_url text,
    p_panopto_host text,
    p_panopto_session_id text,
    p_stream_url text,
    p_title text default null
)
returns table (lecture_id uuid, created boolean)
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_host constant text := regexp_replace(lower(btrim(p_panopto_host)), '\.?(:443)?$', '');
    v_session_id constant text := nullif(lower(btrim(p_panopto_session_id)), '');
    v_lecture public.lectures;
begin
    if num_nulls(p_user_id, p_catalog_course_id, p_panopto_url, p_panopto_host, p_stream_url) > 0 then
        raise exception 'only p_panopto_session_id and p_title may be null' using errcode = '22004';
    end if;
    if not private.is_fetchable(p_panopto_url) or not private.is_fetchable(p_stream_url) then
        raise exception 'p_panopto_url and p_stream_url must be https addresses' using errcode = '22023';
    end if;
    if v_host !~ '^[a-z0-9.:\[\]-]+$' then
        raise exception 'p_panopto_host must be a host, with a port where it has one' using errcode = '22023';
    end if;
    if not exists (select from public.profiles where user_id = p_user_id)
        or not exists (select from public.catalog_courses where id = p_catalog_course_id) then
        raise exception 'no person has the id in p_user_id, or no course the one in p_catalog_course_id'
            using errcode = 'PT404';
    end if;

    created := false;
    loop
        -- the lock keeps the lecture while its last link may be deleted
        select * into v_lecture from public.lectures as l
        where l.catalog_course_id = p_catalog_course_id
            and (
                (l.panopto_host = v_host and l.panopto_session_id = v_session_id)
                or (v_session_id is null and l.panopto_session_id is null and l.panopto_url = p_panopto_url)
            )
        for update;
        exit when found;
        insert into public.lectures (
            catalog_course_id, panopto_host, panopto_session_id, panopto_url, stream_url, title
        )
        values (p_catalog_course_id, v_host, v_session_id, p_panopto_url, p_stream_url, p_title)
        on conflict do nothing
        returning * into v_lecture;
        if found then
            created := true;
            exit;
        end if;
    end loop;

    if v_lecture.status = 'failed' then
        update public.lectures set status = 'pending', stream_url = p_stream_url
        where id = v_lecture.id returning * into v_lecture;
    end if;
    insert into public.user_lectures (user_id, lecture_id) values (p_user_id, v_lecture.id) on conflict do nothing;
    perform private.continue_lecture(v_lecture);
    lecture_id := v_lecture.id;
    return next;
end
$$;

comment on function public.svc_submit_lecture(uuid, uuid, text, text, text, text, text) is
    'Links a person to the lecture at an address, making it if it is new. Enqueues its next stage unless it is '
    'completed; a failed one is tried again. The same course, host and session id, or the same address where there is '
    'no id, is the same lecture; case and port 443 do not count. PT404 when the person or the course does not exist, '
    '22023 for addresses that are not https.';

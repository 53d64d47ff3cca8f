-- The texts of policies, columns and functions say "they" of people; two functions name the parameter in their errors; two
-- indexes follow the pattern of names.
-- Touches: all rooms but foundation. Undo: rename the indexes back and restore the former texts; no row changes.

set lock_timeout = '5s';

alter index public.idx_qa_escalated rename to idx_qa_interactions_escalated_to_tutor_id;
alter index public.idx_tsa_tutor_subject rename to idx_tutor_student_assignments_tutor_id_subject;

create or replace function public.svc_submit_lecture(
    p_user_id uuid,
    p_catalog_course_id uuid,
    p_panopto_url text,
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
    v_session_id constant text := substring(p_panopto_url from '^[^?#]*\?(?:[^#]*&)?id=([^&#]+)');
    v_lecture public.lectures;
begin
    if p_user_id is null or p_catalog_course_id is null or p_panopto_url is null or p_stream_url is null then
        raise exception 'p_user_id, p_catalog_course_id, p_panopto_url and p_stream_url must not be null'
            using errcode = '22004';
    end if;
    if p_panopto_url !~ '^https://' or p_stream_url !~ '^https://' then
        raise exception 'p_panopto_url and p_stream_url must be https addresses' using errcode = '22023';
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
                l.panopto_session_id = v_session_id
                or (v_session_id is null and l.panopto_session_id is null and l.panopto_url = p_panopto_url)
            )
        for update;
        exit when found;
        insert into public.lectures (catalog_course_id, panopto_session_id, panopto_url, stream_url, title)
        values (p_catalog_course_id, v_session_id, p_panopto_url, p_stream_url, p_title)
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
    if v_lecture.status <> 'completed' then
        perform public.svc_enqueue_job(
            p_type => 'lecture_download',
            p_payload => jsonb_build_object('lecture_id', v_lecture.id),
            p_user_id => p_user_id,
            p_dedupe_key => 'lecture:' || v_lecture.id
        );
    end if;
    lecture_id := v_lecture.id;
    return next;
end
$$;

create or replace function public.svc_sync_catalog(p_courses jsonb, p_max_removed numeric default 0.20)
returns jsonb
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_live bigint;
    v_missing bigint;
    v_codes text[];
    v_counts jsonb;
    v_deleted bigint;
    v_retired bigint;
begin
    if p_courses is null or p_max_removed is null then
        raise exception 'p_courses and p_max_removed must not be null' using errcode = '22004';
    end if;
    perform private.check_number('p_max_removed', p_max_removed, 0, 1);
    if jsonb_typeof(p_courses) <> 'array' or jsonb_array_length(p_courses) = 0 then
        raise exception 'p_courses must be a JSON array with at least one course' using errcode = '22023';
    end if;
    if exists (
        select from jsonb_array_elements(p_courses) as c
        where jsonb_typeof(c) <> 'object'
            or coalesce(jsonb_typeof(c -> 'code'), '') <> 'string'
            or coalesce(jsonb_typeof(c -> 'title'), '') <> 'string'
            or char_length(public.normalize_course_code(c ->> 'code')) not between 1 and 50
            or btrim(c ->> 'title') = '' or char_length(c ->> 'title') > 500
            or coalesce(jsonb_typeof(c -> 'instructor'), 'null') not in ('string', 'null')
            or char_length(c ->> 'instructor') > 500
    ) then
        raise exception 'p_courses: every course needs a code of 1 to 50 characters and a title of 1 to 500'
            using errcode = '22023';
    end if;
    -- one sync at a time: two would retire each other's courses
    perform pg_advisory_xact_lock(hashtextextended('svc_sync_catalog', 0));

    select array_agg(distinct public.normalize_course_code(c ->> 'code')) into v_codes
    from jsonb_array_elements(p_courses) as c;
    select count(*), count(*) filter (where code <> all (v_codes)) into v_live, v_missing
    from public.catalog_courses where is_official and retired_at is null;
    if v_missing > v_live * p_max_removed then
        raise exception 'p_courses lacks % of % official courses, so nothing was changed', v_missing, v_live
            using errcode = '22023', hint = 'Check the source, or pass a larger p_max_removed.';
    end if;

    with given as (
        -- of two spellings of one code, the last one counts
        select distinct on (code) code, title, instructor
        from (
            select
                public.normalize_course_code(c ->> 'code') as code, btrim(c ->> 'title') as title,
                c ->> 'instructor' as instructor, position
            from jsonb_array_elements(p_courses) with ordinality as t (c, position)
        ) as list
        order by code, position desc
    ),
    written as (
        insert into public.catalog_courses as existing (code, title, instructor, is_official)
        select code, title, instructor, true from given
        on conflict (code) do update
        set title = excluded.title, instructor = coalesce(excluded.instructor, existing.instructor),
            is_official = true, retired_at = null
        where (existing.title, existing.instructor, existing.is_official, existing.retired_at)
            is distinct from (excluded.title, coalesce(excluded.instructor, existing.instructor), true, null)
        -- a row that existed was locked first, and xmax shows it
        returning existing.xmax = 0 as is_new
    )
    select jsonb_build_object(
        'inserted', count(*) filter (where is_new),
        'updated', count(*) filter (where not is_new),
        'unchanged', cardinality(v_codes) - count(*)
    ) into v_counts from written;

    -- First the locks, then a new snapshot: this waits for lectures that are just being added to one of the courses.
    perform from public.catalog_courses where is_official and code <> all (v_codes) for update;
    delete from public.catalog_courses as c
    where c.is_official and c.code <> all (v_codes)
        and not exists (select from public.lectures where catalog_course_id = c.id)
        and not exists (select from public.documents where catalog_course_id = c.id)
        and not exists (select from public.courses where catalog_course_id = c.id)
        and not exists (select from public.classes where catalog_course_id = c.id);
    get diagnostics v_deleted = row_count;
    update public.catalog_courses set retired_at = private.clock()
    where is_official and retired_at is null and code <> all (v_codes);
    get diagnostics v_retired = row_count;
    return v_counts || jsonb_build_object('deleted', v_deleted, 'retired', v_retired);
end
$$;

comment on policy nobody on private.external_identities is
    'Closed on purpose: only the service''s definer functions use it.';
comment on policy select_admin on public.guardianships is 'Staff see all.';
comment on policy insert_admin on public.guardianships is 'Staff propose; a new one is always pending.';
comment on policy update_admin on public.guardianships is 'Staff record a verified minor, or end it; audited.';
comment on policy delete_admin on public.guardianships is 'Staff delete one made by mistake; audited.';
comment on policy select_related on public.profiles is
    'Their own profile; a tutor''s students; a student''s tutors and guardians; a parent''s children with consent, '
    'and their tutors.';
comment on policy select_admin on public.profiles is 'Staff see every profile.';
comment on policy update_own on public.profiles is 'People edit their own name, picture and time zone.';
comment on policy select_own on public.user_settings is 'People read their own settings.';
comment on policy update_own on public.user_settings is 'People change their own settings.';
comment on policy select_admin on public.user_stats is 'Staff see all figures.';
comment on policy select_own on public.assignments is 'People see their own assignments.';
comment on policy select_own on public.course_sync_state is 'People see how far the sync of their courses has come.';
comment on policy select_own on public.courses is 'People see their own courses.';
comment on policy update_own on public.courses is 'People switch their own courses on and off.';
comment on policy nobody on private.integration_tokens is
    'Closed on purpose: only the service''s definer functions use it.';
comment on policy select_own on public.integrations is 'People see their own connections.';
comment on policy nobody on private.lms_connection_secrets is
    'Closed on purpose: only the service''s definer functions use it.';
comment on policy select_admin on public.lms_connections is 'Staff see disabled ones, too.';
comment on policy insert_admin on public.lms_connections is 'Staff register installations.';
comment on policy update_admin on public.lms_connections is 'Staff edit or disable installations.';
comment on policy nobody on private.lti_deployments is
    'Closed on purpose: only the service''s definer functions use it.';
comment on policy nobody on private.lti_identities is
    'Closed on purpose: only the service''s definer functions use it.';
comment on policy nobody on private.lti_launches is 'Closed on purpose: only the service''s definer functions use it.';
comment on policy nobody on private.lti_memberships is
    'Closed on purpose: only the service''s definer functions use it.';
comment on policy nobody on private.lti_platforms is 'Closed on purpose: only the service''s definer functions use it.';
comment on policy nobody on private.lti_registrations is
    'Closed on purpose: only the service''s definer functions use it.';
comment on policy nobody on private.lti_signing_keys is
    'Closed on purpose: only the service''s definer functions use it.';
comment on policy nobody on private.lti_states is 'Closed on purpose: only the service''s definer functions use it.';
comment on policy nobody on private.lti_tickets is 'Closed on purpose: only the service''s definer functions use it.';
comment on policy nobody on private.oauth_states is 'Closed on purpose: only the service''s definer functions use it.';
comment on policy nobody on private.generation_events is
    'Closed on purpose: only the service''s definer functions use it.';
comment on policy select_own on public.headstart_docs is 'People read their own headstarts.';
comment on policy delete_own on public.headstart_docs is 'People delete their own headstarts.';
comment on policy select_own on public.headstart_runs is 'People see their own runs.';
comment on policy select_own on public.notifications is 'People read their own inbox.';
comment on policy update_own on public.notifications is 'People dismiss a line; they can set no other status.';
comment on policy select_own on public.nudges is 'People see their own nudges.';
comment on policy select_own on public.study_blocks is 'People see their own plan.';
comment on policy insert_own on public.study_blocks is
    'People plan their own time; the foreign key admits only their own assignments.';
comment on policy update_own on public.study_blocks is 'People change their own plan.';
comment on policy delete_own on public.study_blocks is 'People delete their own blocks.';
comment on policy update_creator on public.catalog_courses is
    'Whoever added a course corrects it, until the school''s list contains it.';
comment on policy insert_admin on public.catalog_courses is 'Staff add courses.';
comment on policy update_admin on public.catalog_courses is 'Staff correct title and instructor.';
comment on policy delete_admin on public.catalog_courses is
    'Staff delete unused courses; the foreign keys protect used ones.';
comment on policy select_own on public.documents is 'People see their own files.';
comment on policy update_own on public.documents is 'People rename their own files.';
comment on policy delete_own on public.documents is
    'People delete their own files; a trigger puts the stored file into the outbox.';
comment on policy select_linked on public.lectures is 'People see the lectures they follow.';
comment on policy select_own on public.user_lectures is 'People see their own links.';
comment on policy delete_own on public.user_lectures is
    'People stop following; deleting the last link deletes the lecture.';
comment on policy select_own on public.classes is 'Teachers see their own classes.';
comment on policy insert_own on public.classes is 'Teachers add classes of their own.';
comment on policy update_own on public.classes is 'Teachers rename or archive their classes.';
comment on policy delete_own on public.classes is 'Teachers delete their classes; the material stays, without a class.';
comment on policy select_own on public.content_sources is 'Teachers see their own material.';
comment on policy insert_own on public.content_sources is 'Teachers add links and texts, which wait for extraction.';
comment on policy update_own on public.content_sources is
    'Teachers rename material or move it to another of their classes.';
comment on policy delete_own on public.content_sources is
    'Teachers delete material; a trigger puts a stored file into the outbox.';
comment on policy select_own on public.courses_cache is 'Teachers see the Canvas courses fetched for them.';
comment on policy select_own on public.generated_content is 'Teachers see what was written for them.';
comment on policy update_own on public.generated_content is
    'Teachers edit and approve it, and move it to another class.';
comment on policy delete_own on public.generated_content is 'Teachers delete it.';
comment on policy select_own on public.messages is 'Teachers see the lines of their own conversations.';
comment on policy insert_own on public.messages is 'Teachers write their own lines, in their own conversations.';
comment on policy select_own on public.teachers is 'Teachers see their own row.';
comment on policy update_own on public.teachers is 'Teachers may correct their name.';
comment on policy select_own on public.threads is 'Teachers see their own conversations.';
comment on policy insert_own on public.threads is
    'Teachers open conversations of their own; the foreign key admits only teachers.';
comment on policy update_own on public.threads is 'Teachers may rename their conversations.';
comment on policy delete_own on public.threads is 'Teachers may delete their conversations, with their messages.';
comment on policy select_own on public.brand_packages is 'Learners see the brand packages of their own weeks.';
comment on policy select_own on public.clo_notes is 'Learners see the learning objectives of their own weeks.';
comment on policy select_own on public.engineer_notes is 'Learners see the code notes of their own weeks.';
comment on policy select_own on public.kpi_metrics is 'Learners see their own metrics.';
comment on policy select_own on public.reviews is 'Learners see their own reviews.';
comment on policy insert_own on public.reviews is 'Learners ask for a review of a repository.';
comment on policy delete_own on public.reviews is 'Learners delete their reviews.';
comment on policy select_own on public.socratic_messages is 'Learners see the lines of their own dialogues.';
comment on policy insert_own on public.socratic_messages is
    'Learners write their own lines, in their own open dialogues.';
comment on policy select_own on public.socratic_sessions is 'Learners see their own dialogues.';
comment on policy insert_own on public.socratic_sessions is
    'Learners open dialogues; the foreign key admits only their own weeks.';
comment on policy update_own on public.socratic_sessions is 'Learners rename or close their dialogues.';
comment on policy delete_own on public.socratic_sessions is 'Learners delete their dialogues.';
comment on policy select_own on public.weeks is 'Learners see their own weeks.';
comment on policy insert_own on public.weeks is 'Learners plan their own weeks.';
comment on policy update_own on public.weeks is 'Learners change their own weeks.';
comment on policy delete_own on public.weeks is 'Learners delete their own weeks, with everything below them.';
comment on policy select_visible on public.goals is 'The student, the student''s parents, and tutors of the subject.';
comment on policy insert_shaper on public.goals is
    'Students for themselves, or their tutors of the subject; created_by says who.';
comment on policy update_shaper on public.goals is 'The student, or a tutor of the subject; parents only read.';
comment on policy delete_author on public.goals is 'Students delete goals that they set themselves.';
comment on policy select_tutor on public.overrides is
    'Tutors of the student in the subject, and the author while tutoring the student.';
comment on policy select_reader on public.practice_assignment_answers is
    'The student who completed the question, and tutors of the subject.';
comment on policy select_visible on public.practice_assignments is
    'The student, the student''s parents, and tutors of the subject.';
comment on policy insert_tutor on public.practice_assignments is
    'Tutors assign an item of the bank to their students; a trigger sets its subject before this check.';
comment on policy update_tutor on public.practice_assignments is 'Tutors flag or clear questions of their students.';
comment on policy select_reader on public.practice_bank_answers is 'Tutors, and students who completed the item.';
comment on policy select_reader on public.practice_bank_items is
    'Tutors see the bank; students see the items assigned to them.';
comment on policy insert_tutor on public.practice_bank_items is 'Tutors add items under their name.';
comment on policy update_author on public.practice_bank_items is 'Authors change their items while they are tutors.';
comment on policy select_visible on public.qa_interactions is
    'The student, tutors of all subjects, and the tutor it was escalated to while tutoring the student.';
comment on policy nobody on private.session_transcripts is 'Closed on purpose: nobody uses transcripts over the API.';
comment on policy select_visible on public.student_ratings is
    'The student, the student''s parents, and tutors of the subject.';
comment on policy select_related on public.student_subjects is
    'The student, the student''s parents, and tutors of any subject.';
comment on policy insert_own on public.student_subjects is 'Students add to their own list.';
comment on policy delete_own on public.student_subjects is 'Students delete from their own list.';
comment on policy select_visible on public.summaries is
    'The student, the student''s parents, and tutors of the session''s subject.';
comment on policy nobody on private.tutor_notes is 'Closed on purpose: nobody uses tutor notes over the API.';
comment on policy select_visible on public.tutoring_sessions is
    'The student, the student''s parents, and tutors of the subject.';
comment on policy insert_tutor on public.tutoring_sessions is
    'Tutors plan or record their own sessions with their students.';
comment on policy update_tutor on public.tutoring_sessions is
    'Tutors change their own sessions while they tutor the student.';
comment on policy nobody on private.billing_archive is 'Closed on purpose: nobody uses it over the API.';
comment on policy select_own on public.invoices is 'Customers see the invoices of their own subscriptions.';
comment on policy nobody on public.payment_events is 'Closed on purpose: nobody uses it over the API, staff included.';
comment on policy delete_admin on public.plans is 'Staff delete plans that nobody ever had.';
comment on policy select_own on public.subscriptions is 'Customers see their own subscriptions.';
comment on policy select_admin on public.agent_configs is 'Staff read prompts and settings.';
comment on policy insert_admin on public.agent_configs is 'Staff write prompts and settings.';
comment on policy update_admin on public.agent_configs is 'Staff change prompts and settings.';
comment on policy delete_admin on public.agent_configs is 'Staff delete prompts and settings.';
comment on policy select_active on public.agents is 'Everybody sees the agents in use.';
comment on policy nobody on private.audit_log is 'Closed on purpose: nobody uses the audit log over the API.';
comment on policy nobody on private.idempotency_keys is 'Closed on purpose: nobody uses kept answers over the API.';
comment on policy nobody on private.job_caps is 'Closed on purpose: nobody uses the caps over the API.';
comment on policy nobody on private.job_runtime is 'Closed on purpose: nobody uses inputs and leases over the API.';
comment on policy nobody on private.job_schedules is 'Closed on purpose: nobody uses the schedules over the API.';
comment on policy nobody on private.provider_buckets is 'Closed on purpose: nobody uses the buckets over the API.';
comment on policy nobody on private.rate_buckets is 'Closed on purpose: nobody uses the counters over the API.';
comment on policy nobody on private.storage_deletions is 'Closed on purpose: nobody uses the outbox over the API.';
comment on table public.profiles is 'A person, as related people see them. One row per account.';
comment on column public.profiles.timezone is 'IANA name of the person''s time zone; decides when their day begins.';
comment on column public.lectures.stream_url is
    'Address of the media, which the server determines; never taken from a client.';
comment on column public.lectures.duration_seconds is 'Its length in seconds.';
comment on column public.lectures.status is 'Its state.';
comment on function private.clear_lecture() is
    'BEFORE UPDATE on lectures when status changes: clears the files of a failed one, and the error of one that is '
    'tried again.';
comment on function public.svc_submit_lecture(uuid, uuid, text, text, text) is
    'Links a person to the lecture at an address, making it if it is new. Enqueues its download (payload '
    '{lecture_id}) unless it is stored; a failed one is tried again. The same course and id parameter, or the same '
    'address where there is no id, is the same lecture. PT404 when the person or the course does not exist, 22023 for '
    'addresses that are not https.';
comment on function public.svc_sync_catalog(jsonb, numeric) is
    'Makes the official courses equal to the school''s list [{code, title, instructor?}]. A course that left the list '
    'is deleted when nothing uses it, otherwise retired. One that returns is no longer retired, and one that people '
    'had added becomes official. Returns the counts inserted, updated, unchanged, deleted and retired. 22023, and '
    'nothing changes, for an empty or malformed list, or when more than p_max_removed (0 to 1, else 22003) of the '
    'official courses that are not retired are missing.';
comment on function private.my_completed_items() is
    'Ids of the bank items that the caller has completed and whose answers they may therefore read.';

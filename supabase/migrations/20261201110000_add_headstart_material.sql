-- Students may let their headstarts use pages and the syllabus of the course.
-- Touches: private.headstart_preferences_fault(); comments of user_settings, headstart_docs and lms_connections.
-- Undo: restore the function and the comments of the migrations before.

set lock_timeout = '5s';

create or replace function private.headstart_preferences_fault(p_preferences jsonb)
returns text
language sql
immutable
set search_path = ''
as $$
    select case
        when h is null then null
        when jsonb_typeof(h) <> 'object' then ' must be an object'
        when h - '{auto,lead_hours,excluded_course_ids,max_per_day,material}'::text[] <> '{}'
            then ' may only have the keys auto, lead_hours, excluded_course_ids, max_per_day and material'
        when h ? 'auto' and jsonb_typeof(h -> 'auto') <> 'boolean' then '.auto must be true or false'
        when h ? 'material' and jsonb_typeof(h -> 'material') <> 'boolean' then '.material must be true or false'
        when h ? 'lead_hours'
            and not jsonb_path_exists(h, 'strict $.lead_hours ? (@ >= 1 && @ <= 336 && @.floor() == @)')
            then '.lead_hours must be a whole number from 1 to 336'
        when h ? 'max_per_day'
            and not jsonb_path_exists(h, 'strict $.max_per_day ? (@ >= 0 && @ <= 20 && @.floor() == @)')
            then '.max_per_day must be a whole number from 0 to 20'
        when not h ? 'excluded_course_ids' then null
        when jsonb_typeof(h -> 'excluded_course_ids') <> 'array' or jsonb_array_length(h -> 'excluded_course_ids') > 500
            or jsonb_array_length(h -> 'excluded_course_ids') <> jsonb_array_length(jsonb_path_query_array(
                h,
                'strict $.excluded_course_ids[*] ? (@ like_regex "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")'
            ))
            then '.excluded_course_ids must be a list of at most 500 ids of courses'
    end
    from (select p_preferences -> 'headstart' as h) as given;
$$;

comment on column public.user_settings.preferences is
    'Settings of the front end; at most 64 KiB. Key headstart: {auto false, lead_hours 1 to 336 (48), '
    'excluded_course_ids, max_per_day 0 to 20 (5)} for headstarts that start by themselves, and material (false): '
    'whether headstarts use pages and the syllabus of the course. Other keys are free.';
comment on column public.headstart_docs.extra is
    'Keys plan, key_concepts, questions, resources, time_estimate_minutes, suggested_blocks, and sources: the pages and '
    'the syllabus that the model read, with kind, title and url.';
comment on column public.lms_connections.settings is
    'Settings of this installation, readable by its users. allow_personal_tokens: whether people may connect with an '
    'access token that they made in Canvas. panopto_hosts: where its lectures are. reads: what its developer key allows '
    'besides the needed scopes, a list of modules, todo and pages.';

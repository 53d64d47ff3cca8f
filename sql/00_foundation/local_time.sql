-- Instants as people say them: the day and time of a place, with the weekday. functions/shared/local_time.py says
-- the same to models; a test compares the two.

create function private.zone_of(p_profile_zone text, p_profile_source text, p_course_zone text)
returns text
language sql
immutable
set search_path = ''
as $$
    select coalesce(
        nullif(case when p_profile_source <> 'default' then p_profile_zone end, ''), nullif(p_course_zone, ''),
        nullif(p_profile_zone, ''), 'UTC'
    );
$$;

comment on function private.zone_of(text, text, text) is
    'The zone in which a person is told a course''s times: their own if they or Canvas set it, else the course''s.';

create function private.local_text(p_moment timestamptz, p_zone text)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
    v_zone text := coalesce(p_zone, 'UTC');
    v_local timestamp;
begin
    begin
        v_local := p_moment at time zone v_zone;
    exception when invalid_parameter_value then
        -- a zone that Canvas made up
        v_zone := 'UTC';
        v_local := p_moment at time zone v_zone;
    end;
    return to_char(v_local, 'FMDay FMDD FMMonth YYYY, HH24:MI') || ' (' || v_zone || ')';
end
$$;

comment on function private.local_text(timestamptz, text) is
    'A moment with weekday, day, time and zone: Friday 9 May 2031, 23:59 (Europe/Berlin). An unknown zone counts as '
    'UTC.';

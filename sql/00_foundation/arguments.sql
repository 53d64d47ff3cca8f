-- Checks of arguments that several rooms share, and how clients are refused. The error names the parameter, so that the
-- caller knows which one to change.

create function private.check_time(p_name text, p_value timestamptz)
returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
    -- 'infinity' sorts after every time and '-infinity' before; many clients read only years of four digits
    if p_value < timestamptz '0001-01-01 00:00:00+00' or p_value >= timestamptz '10000-01-01 00:00:00+00' then
        raise exception '% must be a time in the years 1 to 9999', p_name using errcode = '22023';
    end if;
end
$$;

comment on function private.check_time(text, timestamptz) is
    'Raises 22023 naming the parameter when its value is infinite or outside the years 1 to 9999 (UTC); null passes.';

create function private.check_number(p_name text, p_value numeric, p_min numeric, p_max numeric)
returns void
language plpgsql
immutable
set search_path = ''
as $$
begin
    -- 'NaN' and 'infinity' sort after every number, so the range refuses them too
    if p_value < p_min or p_value > p_max then
        raise exception '% must be between % and %', p_name, p_min, p_max using errcode = '22003';
    end if;
end
$$;

comment on function private.check_number(text, numeric, numeric, numeric) is
    'Raises 22003 naming the parameter when its value is NaN or outside the range, both ends included; null passes.';

create function private.refuse(
    p_status int,
    p_code text,
    p_message text,
    p_hint text,
    p_details jsonb default null,
    p_retry_after_s int default null
)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
    -- how PostgREST is told a status, a header and our own code; it takes details as text only
    raise sqlstate 'PGRST' using
        message = jsonb_build_object(
            'code', p_code, 'message', p_message, 'details', p_details::text, 'hint', p_hint
        )::text,
        detail = jsonb_build_object(
            'status', p_status,
            'headers', jsonb_strip_nulls(jsonb_build_object('Retry-After', p_retry_after_s::text))
        )::text;
end
$$;

comment on function private.refuse(int, text, text, text, jsonb, int) is
    'Refuses what a client asks over REST, with a status and a code of docs/errors.md. The functions of the service '
    'return outcomes instead: they could not tell such a refusal from a fault.';

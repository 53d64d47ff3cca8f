-- Checks of arguments that several rooms share. The error names the parameter, so that the caller knows which one to
-- change.

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

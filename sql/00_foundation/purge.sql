-- How rooms forget: in batches, because a request to the service has seconds. What is left goes with the next call.

create function private.purge(p_table regclass, p_column text, p_age interval, p_condition text default 'true')
returns int
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_count int;
begin
    -- whoever holds a row is using it
    execute format(
        'delete from %1$s where ctid = any (array('
        'select t.ctid from %1$s as t where %2$s < $1 and (%3$s) limit 5000 for update skip locked))',
        p_table, p_column, p_condition
    )
    using private.clock() - p_age;
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

comment on function private.purge(regclass, text, interval, text) is
    'Deletes up to 5000 rows t of a table whose column is older than this age and that fulfil the condition. Column '
    'and condition are SQL of ours, never a caller''s. Returns how many rows went.';

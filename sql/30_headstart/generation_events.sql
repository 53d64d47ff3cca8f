-- The text of a model as it is written. A generation belongs to a run and not to a connection: a worker appends parts,
-- HTTP streams follow them, and both can break off and resume. A stream is a headstart run or an assistant message,
-- named by its id. It has no foreign key, because the two are different tables. Rows are deleted a day after the stream
-- ended.

create table private.generation_events (
    stream_id uuid not null,
    seq bigint not null,
    part jsonb not null,
    at timestamptz not null default now(),
    primary key (stream_id, seq),
    constraint generation_events_seq_check check (seq >= 1),
    constraint generation_events_part_check check (jsonb_typeof(part) = 'object')
);

comment on table private.generation_events is 'Parts of a text while it is being written.';
comment on column private.generation_events.stream_id is 'The headstart run or assistant message.';
comment on column private.generation_events.seq is 'Number within the stream; 1, 2, 3 without gaps.';
comment on column private.generation_events.part is 'The part, as HTTP streams send it.';
comment on column private.generation_events.at is 'When it was written.';

create function public.svc_append_generation(p_stream_id uuid, p_from_seq bigint, p_parts jsonb[])
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
    v_last bigint;
begin
    if p_stream_id is null or p_from_seq is null or p_parts is null or array_position(p_parts, null) is not null then
        raise exception 'p_stream_id, p_from_seq, p_parts and its elements must not be null' using errcode = '22004';
    end if;
    -- one writer at a time: a second worker that takes the run for its own finds the number taken
    perform pg_advisory_xact_lock(hashtextextended(p_stream_id::text, 0));
    select coalesce(max(seq), 0) into v_last from private.generation_events where stream_id = p_stream_id;
    if p_from_seq <> v_last + 1 then
        return null;
    end if;
    insert into private.generation_events (stream_id, seq, part, at)
    select p_stream_id, v_last + t.ordinality, t.part, private.clock()
    from unnest(p_parts) with ordinality as t (part, ordinality);
    v_last := v_last + cardinality(p_parts);
    update public.headstart_runs set seq = v_last where id = p_stream_id and seq <> v_last;
    return v_last;
end
$$;

comment on function public.svc_append_generation(uuid, bigint, jsonb[]) is
    'Appends parts to a stream, the first of them under number p_from_seq (a new stream begins with 1), and returns '
    'the last number. When p_from_seq is not the next number, nothing changes and the result is null.';

create function public.svc_read_generation(p_stream_id uuid, p_after_seq bigint, p_limit int default 500)
returns table (seq bigint, part jsonb, at timestamptz)
language sql
stable
security definer
set search_path = ''
as $$
    select e.seq, e.part, e.at from private.generation_events as e
    where e.stream_id = p_stream_id and e.seq > coalesce(p_after_seq, 0)
    order by e.seq
    limit least(greatest(coalesce(p_limit, 500), 1), 5000);
$$;

comment on function public.svc_read_generation(uuid, bigint, int) is
    'The parts of a stream after a number (0 or null: from the start), in order, at most p_limit of them (1 to 5000).';

create function public.svc_read_generations(p_streams jsonb)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if p_streams is null then
        raise exception 'p_streams must not be null' using errcode = '22004';
    end if;
    if jsonb_typeof(p_streams) <> 'object' then
        raise exception 'p_streams must be an object of numbers by stream id' using errcode = '22023';
    end if;
    return (
        select coalesce(jsonb_object_agg(s.key, e.parts), '{}')
        from jsonb_each_text(p_streams) as s
        cross join lateral (
            select jsonb_agg(jsonb_build_array(g.seq, g.part) order by g.seq) as parts
            from (
                select seq, part from private.generation_events
                where stream_id = s.key::uuid and seq > s.value::bigint
                order by seq
                limit 200
            ) as g
        ) as e
        where e.parts is not null
    );
end
$$;

comment on function public.svc_read_generations(jsonb) is
    'The parts of several streams in one call. p_streams is {stream id: the number after which to read}; the answer '
    'is {stream id: [[number, part]]}, with at most 200 parts of each stream, and without those that have none.';

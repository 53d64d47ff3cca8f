-- Trigger functions that several domains share. Triggers are named trg_<table>_<what> and fire in name order.
-- Those that read or write other tables are SECURITY DEFINER: as invoker they would see only what the caller's policies
-- show, and a row that exists would look missing.

create function public.set_updated_at()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    new.updated_at := now();
    return new;
end
$$;

comment on function public.set_updated_at() is
    'BEFORE UPDATE on every table that has updated_at: the database tells the time of a change, never the client.';

create function private.keep_columns()
returns trigger
language plpgsql
-- as the caller, whom it has to know; so it may not call other functions of private
set search_path = ''
as $$
declare
    v_old constant jsonb := to_jsonb(old);
    v_column text;
    v_sent jsonb;
begin
    -- the service and the database's own functions write what they need
    if current_user not in ('authenticated', 'app_admin') then
        return new;
    end if;
    for v_column, v_sent in
        select key, value from jsonb_each(to_jsonb(new))
        where key <> all (tg_argv) and value is distinct from v_old -> key
        order by key
    loop
        -- Sent back in good faith: the time of an earlier change, which a later trigger sets, and integers past 2^53,
        -- which JavaScript rounds.
        if v_column = 'updated_at' or jsonb_typeof(v_sent) = 'number' and jsonb_typeof(v_old -> v_column) = 'number'
            and abs((v_old ->> v_column)::numeric) > 9007199254740991
            and v_sent::double precision = (v_old -> v_column)::double precision
        then
            new := jsonb_populate_record(new, jsonb_build_object(v_column, v_old -> v_column));
        else
            raise exception 'column "%" of "%" cannot be changed', v_column, tg_table_name
                using errcode = '42501',
                hint = 'Leave it out or send its stored value. You may change: '
                    || array_to_string(tg_argv, ', ') || '.';
        end if;
    end loop;
    return new;
end
$$;

comment on function private.keep_columns() is
    'BEFORE UPDATE: private.keep_columns(column, ...) lists what clients may change. A change of any other column is '
    '42501 and names it; its stored value passes, so a whole row read before may be sent back; updated_at is ignored. '
    'It must fire before triggers that change the row. The table must not have generated columns: they are still null '
    'at that moment.';

create function private.keep_canvas_id()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_column constant text := tg_argv[0];
    v_number constant numeric := to_jsonb(new) ->> v_column;
begin
    if new.canvas_id is null
        or (tg_op = 'UPDATE' and v_number is distinct from (to_jsonb(old) ->> v_column)::numeric)
    then
        new.canvas_id := v_number::text;
        return new;
    end if;
    if new.canvas_id !~ '^(0|[1-9][0-9]{0,18})$' or new.canvas_id::numeric > 9223372036854775807 then
        raise exception 'canvas_id must be a whole number as text' using errcode = '23514';
    end if;
    if v_number is null
        or (v_number > 9007199254740991 and v_number::double precision = new.canvas_id::double precision)
    then
        -- the number is missing, or rounded by JavaScript: the text counts
        return jsonb_populate_record(new, jsonb_build_object(v_column, new.canvas_id));
    end if;
    if v_number <> new.canvas_id::numeric then
        raise exception 'canvas_id and % differ: send one of them', v_column using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.keep_canvas_id() is
    'BEFORE INSERT OR UPDATE: private.keep_canvas_id(column) keeps canvas_id equal to that number, as text that '
    'JavaScript does not round. A new row may name either; where both are sent and the number is the rounded text, '
    'the text counts.';

create function private.exact_numbers(p_json jsonb)
returns jsonb
language plpgsql
immutable
strict
set search_path = ''
as $$
begin
    case jsonb_typeof(p_json)
        when 'object' then
            return (select coalesce(jsonb_object_agg(key, private.exact_numbers(value)), '{}') from jsonb_each(p_json));
        when 'array' then
            return (
                select coalesce(jsonb_agg(private.exact_numbers(item) order by nth), '[]')
                from jsonb_array_elements(p_json) with ordinality as items (item, nth)
            );
        when 'number' then
            return case when abs(p_json::numeric) > 9007199254740991 then to_jsonb(p_json::text) else p_json end;
        else
            return p_json;
    end case;
end
$$;

comment on function private.exact_numbers(jsonb) is
    'The same JSON with numbers past 2^53 as text, because JavaScript rounds them.';

create function private.keep_exact_numbers()
returns trigger
language plpgsql
-- a person who changes another column of the row has no right to call exact_numbers
security definer
set search_path = ''
as $$
begin
    return jsonb_populate_record(
        new, jsonb_build_object(tg_argv[0], private.exact_numbers(to_jsonb(new) -> tg_argv[0]))
    );
end
$$;

comment on function private.keep_exact_numbers() is
    'BEFORE INSERT OR UPDATE: private.keep_exact_numbers(column) keeps numbers past 2^53 in that jsonb column as text.';

create function private.enforce_transition()
returns trigger
language plpgsql
set search_path = ''
as $$
declare
    v_column constant text := tg_argv[0];
    v_from text := '';
    v_to text;
begin
    if v_column = 'status' then
        -- the usual case, without turning the row into json
        v_to := new.status;
        if tg_op = 'UPDATE' then
            v_from := old.status;
        end if;
    else
        v_to := to_jsonb(new) ->> v_column;
        if tg_op = 'UPDATE' then
            v_from := to_jsonb(old) ->> v_column;
        end if;
    end if;
    if v_from is distinct from v_to and not coalesce((v_from || '>' || v_to) = any (tg_argv[1:]), false) then
        if tg_op = 'INSERT' then
            raise exception '% cannot begin with % %', tg_table_name, v_column, v_to using errcode = '23514';
        end if;
        raise exception '% cannot go from % % to %', tg_table_name, v_column, v_from, v_to using errcode = '23514';
    end if;
    return new;
end
$$;

comment on function private.enforce_transition() is
    'BEFORE INSERT OR UPDATE OF a state column: private.enforce_transition(column, ''from>to'', ...); ''>x'' lists a '
    'state a row may be born in. Unchanged passes, anything else unlisted is 23514, for service_role too.';

create function private.check_profile_role()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_new constant jsonb := to_jsonb(new);
    v_old constant jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) else '{}' end;
    v_person text;
    v_role text;
begin
    for i in 0 .. tg_nargs - 2 by 2 loop
        v_person := v_new ->> tg_argv[i];
        -- a SET NULL from a departing tutor must not test again a student whose role has changed since
        if v_person is null or v_person is not distinct from v_old ->> tg_argv[i] then
            continue;
        end if;
        -- the lock makes a concurrent change of role wait for us, or us for it
        select role into v_role from public.profiles where user_id = v_person::uuid for share;
        -- without a profile the foreign key answers
        if found and v_role is distinct from tg_argv[i + 1] then
            raise exception '%.% must be a %', tg_table_name, tg_argv[i], tg_argv[i + 1] using errcode = '23514';
        end if;
    end loop;
    return null;
end
$$;

comment on function private.check_profile_role() is
    'AFTER INSERT OR UPDATE OF the named columns: private.check_profile_role(column, role, ...). Each changed, '
    'non-null column must name a person of that role, else 23514. A BEFORE trigger would answer ahead of row level '
    'security, and so tell strangers who is a tutor or a student.';

create function private.enqueue_storage_deletion()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_old constant jsonb := to_jsonb(old);
    v_new constant jsonb := case when tg_op = 'UPDATE' then to_jsonb(new) else '{}' end;
    v_key text;
begin
    foreach v_key in array tg_argv loop
        if v_old ->> v_key is not null and v_new ->> v_key is distinct from v_old ->> v_key then
            insert into private.storage_deletions (storage_key, reason)
            values (v_old ->> v_key, format('%s %s', tg_table_name, lower(tg_op)))
            on conflict do nothing;
        end if;
    end loop;
    return null;
end
$$;

comment on function private.enqueue_storage_deletion() is
    'AFTER DELETE, or UPDATE that clears a key: private.enqueue_storage_deletion(key column, ...) puts each stored '
    'file that lost its row into the outbox, because SQL cannot delete it.';

create function private.write_audit(
    p_action text,
    p_entity text,
    p_entity_id text,
    p_subject_user_id uuid,
    p_detail jsonb default '{}'
)
returns void
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    insert into private.audit_log (actor_id, actor_role, action, entity, entity_id, subject_user_id, detail)
    values (
        private.caller_id(),
        coalesce(nullif(auth.jwt() ->> 'role', ''), session_user),
        p_action, p_entity, p_entity_id, p_subject_user_id, p_detail
    );
end
$$;

comment on function private.write_audit(text, text, text, uuid, jsonb) is
    'One line of the audit log about the caller of this request. detail must hold no secret and no student''s text.';

create function private.audit()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_old constant jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) else '{}' end;
    v_new constant jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) else '{}' end;
    v_row constant jsonb := case when tg_op = 'DELETE' then v_old else v_new end;
    v_before jsonb;
    v_after jsonb;
begin
    select jsonb_object_agg(key, value) into v_before
    from jsonb_each(v_old) where key = any (tg_argv[2:]) and value is distinct from v_new -> key;
    select jsonb_object_agg(key, value) into v_after
    from jsonb_each(v_new) where key = any (tg_argv[2:]) and value is distinct from v_old -> key;
    if tg_op = 'UPDATE' and v_before is null and v_after is null then
        return null;
    end if;
    perform private.write_audit(
        lower(tg_op),
        tg_table_name,
        v_row ->> tg_argv[0],
        (v_row ->> tg_argv[1])::uuid,
        jsonb_strip_nulls(jsonb_build_object('before', v_before, 'after', v_after))
    );
    return null;
end
$$;

comment on function private.audit() is
    'AFTER INSERT, UPDATE or DELETE: private.audit(id column, subject column, recorded column, ...). Only the named '
    'columns are kept, and an update that changes none of them leaves no line.';

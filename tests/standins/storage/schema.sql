-- The schema of Supabase Storage as server 1.11.2 leaves it after its 64 migrations, for the stand-in that serves
-- /storage/v1 on the native stack. Runs once as supabase_storage_admin in a database whose schema storage is prepared.
-- tests/contract/storage compares it with the recorded storage_schema.json. Left out is what nobody here can reach:
-- the tables of S3 uploads, Iceberg and vectors, and the functions of the second list and of S3.
-- Row level security is on everywhere and no policy exists: a project writes its own.

set search_path = '';

create type storage.buckettype as enum ('STANDARD', 'ANALYTICS', 'VECTOR');

create table storage.migrations (
    id integer not null constraint migrations_pkey primary key,
    name varchar(100) not null constraint migrations_name_key unique,
    hash varchar(40) not null,
    executed_at timestamp default current_timestamp
);

create table storage.buckets (
    id text not null constraint buckets_pkey primary key,
    name text not null,
    owner uuid,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    public boolean default false,
    avif_autodetection boolean default false,
    file_size_limit bigint,
    allowed_mime_types text [],
    owner_id text,
    type storage.buckettype not null default 'STANDARD',
    versioning_status text not null default 'DISABLED',

    constraint buckets_versioning_dark_check check (versioning_status = 'DISABLED'),
    constraint buckets_versioning_standard_only_check check (type = 'STANDARD' or versioning_status = 'DISABLED'),
    constraint buckets_versioning_status_check check (versioning_status in ('DISABLED', 'ENABLED', 'SUSPENDED'))
);

create unique index bname on storage.buckets (name);

create table storage.objects (
    id uuid not null default gen_random_uuid() constraint objects_pkey primary key,
    bucket_id text constraint "objects_bucketId_fkey" references storage.buckets (id),
    name text,
    owner uuid,
    created_at timestamptz default now(),
    updated_at timestamptz default now(),
    last_accessed_at timestamptz default now(),
    metadata jsonb,
    path_tokens text [] generated always as (string_to_array(name, '/')) stored,
    version text,
    owner_id text,
    user_metadata jsonb,
    archived_at timestamptz,
    is_delete_marker boolean not null default false,
    is_versioned boolean not null default false
);

create unique index bucketid_objname on storage.objects (bucket_id, name);
create index idx_objects_bucket_id_name on storage.objects (bucket_id, name collate "C");
create index idx_objects_bucket_id_name_lower on storage.objects (bucket_id, lower(name) collate "C");
create index name_prefix_search on storage.objects (name text_pattern_ops);

alter table storage.migrations enable row level security;
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;

grant all on storage.buckets, storage.objects to anon, authenticated, service_role;
grant all on storage.buckets, storage.objects to postgres with grant option;

-- ------------------------------------------------------------------------------------------------------------------
-- triggers

create function storage.enforce_bucket_name_length() returns trigger language plpgsql as $$
begin
    if length(new.name) > 100 then
        raise exception 'bucket name "%" is too long (% characters). Max is 100.', new.name, length(new.name);
    end if;
    return new;
end
$$;

create function storage.protect_delete() returns trigger language plpgsql as $$
begin
    if coalesce(current_setting('storage.allow_delete_query', true), '') <> 'true' then
        raise exception 'Direct deletion from storage tables is not allowed. Use the Storage API instead.'
            using errcode = '42501';
    end if;
    return null;
end
$$;

create function storage.update_updated_at_column() returns trigger language plpgsql as $$
begin
    new.updated_at = now();
    return new;
end
$$;

create trigger enforce_bucket_name_length_trigger before insert or update of name on storage.buckets
for each row execute function storage.enforce_bucket_name_length();
create trigger protect_buckets_delete before delete on storage.buckets
for each statement execute function storage.protect_delete();
create trigger update_objects_updated_at before update on storage.objects
for each row execute function storage.update_updated_at_column();
create trigger protect_objects_delete before delete on storage.objects
for each statement execute function storage.protect_delete();

-- ------------------------------------------------------------------------------------------------------------------
-- what policies ask

create function storage.foldername(name text) returns text [] language sql immutable as $$
    select case when name <> '' then trim_array(string_to_array(name, '/'), 1) end
$$;

create function storage.filename(name text) returns text language sql immutable as $$
    select case when name <> '' then split_part(name, '/', -1) end
$$;

create function storage.extension(name text) returns text language sql immutable as $$
    select split_part(storage.filename(name), '.', -1)
$$;

create function storage.operation() returns text language sql stable as $$
    select current_setting('storage.operation', true)
$$;

create function storage.allow_any_operation(expected_operations text []) returns boolean language sql stable as $$
    select coalesce(
        bool_or(
            regexp_replace(expected, '^storage\.', '') = regexp_replace(storage.operation(), '^storage\.', '')
            and expected <> ''
        ),
        false
    )
    from unnest(expected_operations) as expected
$$;

create function storage.allow_only_operation(expected_operation text) returns boolean language sql stable as $$
    select storage.allow_any_operation(array[expected_operation])
$$;

create function storage.can_insert_object(bucketid text, name text, owner uuid, metadata jsonb) returns void
language plpgsql as $$
begin
    insert into storage.objects (bucket_id, name, owner, metadata)
    values (bucketid, name, owner, metadata);
    raise sqlstate 'PT200' using message = 'ROLLBACK', detail = 'rollback successful insert';
end
$$;

-- ------------------------------------------------------------------------------------------------------------------
-- lists

create function storage.get_common_prefix(p_key text, p_prefix text, p_delimiter text) returns text
language sql immutable as $$
    select case
        when strpos(substr(p_key, length(p_prefix) + 1), p_delimiter) > 0
            then p_prefix || split_part(substr(p_key, length(p_prefix) + 1), p_delimiter, 1) || p_delimiter
    end
$$;

create function storage.get_size_by_bucket() returns table (size bigint, bucket_id text) language sql stable as $$
    select sum((o.metadata ->> 'size')::bigint)::bigint, o.bucket_id from storage.objects as o group by o.bucket_id
$$;

-- the caller's rights count: it runs as whoever asks
create function storage.search(
    prefix text,
    bucketname text,
    limits integer default 100,
    levels integer default 1,
    offsets integer default 0,
    search text default '',
    sortcolumn text default 'name',
    sortorder text default 'asc'
)
returns table (
    name text,
    id uuid,
    updated_at timestamptz,
    created_at timestamptz,
    last_accessed_at timestamptz,
    metadata jsonb
)
language sql
stable
as $$
    with below as (
        select substr(o.name, length(search.prefix) + 1) as rest, o.id, o.updated_at, o.created_at,
            o.last_accessed_at, o.metadata
        from storage.objects as o
        where o.bucket_id = search.bucketname
            and lower(o.name) collate "C" ^@ lower(search.prefix || search.search)
    ),

    shown as (
        select rest as name, id, updated_at, created_at, last_accessed_at, metadata from below where rest not like '%/%'
        union all
        select distinct split_part(rest, '/', 1), null::uuid, null::timestamptz, null::timestamptz, null::timestamptz,
            null::jsonb
        from below where rest like '%/%'
    ),

    ranked as (
        select s.*,
            case search.sortcolumn
                when 'updated_at' then s.updated_at
                when 'created_at' then s.created_at
                when 'last_accessed_at' then s.last_accessed_at
            end as moment
        from shown as s
    )

    select r.name, r.id, r.updated_at, r.created_at, r.last_accessed_at, r.metadata
    from ranked as r
    order by
        -- by a time folders come first, whatever the direction
        search.sortcolumn <> 'name' and r.id is not null,
        case when search.sortorder = 'asc' then r.moment end asc,
        case when search.sortorder = 'desc' then r.moment end desc,
        case when search.sortorder = 'asc' then lower(r.name) end collate "C" asc,
        case when search.sortorder = 'desc' then lower(r.name) end collate "C" desc,
        r.name collate "C"
    limit least(search.limits, 1500) offset search.offsets
$$;

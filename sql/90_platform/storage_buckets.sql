-- The buckets, all private: clients read files by signed URLs from a function, and no policy on storage.objects lets a
-- person in. The schema storage belongs to the platform; where it is missing (plain PostgreSQL) there is nothing to do.

do $$
begin
    if to_regclass('storage.buckets') is null then
        return;
    end if;
    insert into storage.buckets (id, name, public)
    select bucket, bucket, false
    from unnest(array[
        'documents', 'audio', 'transcripts', 'session-transcripts', 'content', 'socratic-audio', 'exports'
    ]) as bucket
    on conflict (id) do update set public = false;
end
$$;

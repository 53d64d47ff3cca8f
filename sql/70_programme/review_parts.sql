-- What a model said of one part of a repository, kept while it is reviewed: an attempt that follows a killed one asks
-- only for the parts that are missing. The rows go when the review ends or is asked for again.

create table private.review_parts (
    review_id uuid not null,
    key text not null,
    result jsonb not null default '{}',
    created_at timestamptz not null default now(),
    primary key (review_id, key),
    constraint review_parts_review_id_fkey foreign key (review_id) references public.reviews(id) on delete cascade,
    constraint review_parts_key_check check (key ~ '^[0-9a-f]{64}$'),
    constraint review_parts_result_check check (jsonb_typeof(result) = 'object')
);

comment on table private.review_parts is 'Reviewed parts of repositories whose review is in work.';
comment on column private.review_parts.review_id is 'Which review.';
comment on column private.review_parts.key is
    'SHA-256, hex, of all that the answer depends on: commit, texts, prompt, model.';
comment on column private.review_parts.result is 'The model''s answer, before it is compared with the files.';
comment on column private.review_parts.created_at is 'When it was stored.';

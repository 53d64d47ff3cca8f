-- What kind of brand package was asked for, until its job is forgotten. A job's input holds no text of people's, so the
-- wish is kept here.

create table private.brand_wishes (
    job_id uuid primary key,
    mode text not null,

    constraint brand_wishes_mode_check check (char_length(mode) between 1 and 200)
);

comment on table private.brand_wishes is 'What kind of brand package a job is to write.';
comment on column private.brand_wishes.job_id is 'The job.';
comment on column private.brand_wishes.mode is 'The kind of package; any text of the learner''s.';

-- What a model heard in one piece of a lecture, kept while the lecture is transcribed: an attempt that follows a killed
-- one sends only the pieces that are missing. The rows go when the transcript is stored or the lecture fails.

create table private.lecture_pieces (
    lecture_id uuid not null,
    start_ms int not null,
    end_ms int not null,
    model text not null,
    result jsonb not null default '{}',
    created_at timestamptz not null default now(),
    primary key (lecture_id, start_ms, end_ms),
    constraint lecture_pieces_lecture_id_fkey
        foreign key (lecture_id)
        references public.lectures(id) on delete cascade,
    constraint lecture_pieces_end_ms_check check (start_ms >= 0 and end_ms > start_ms),
    constraint lecture_pieces_model_check check (char_length(model) between 1 and 255),
    constraint lecture_pieces_result_check check (jsonb_typeof(result) = 'object')
);

comment on table private.lecture_pieces is 'Transcribed pieces of a lecture in work.';
comment on column private.lecture_pieces.lecture_id is 'Which lecture.';
comment on column private.lecture_pieces.start_ms is 'Where the piece begins in the lecture, in milliseconds.';
comment on column private.lecture_pieces.end_ms is 'Where it ends.';
comment on column private.lecture_pieces.model is 'The model that heard it; another model hears it again.';
comment on column private.lecture_pieces.result is
    '{language, segments: [{start, end, text}]}, in seconds from the beginning of the lecture.';
comment on column private.lecture_pieces.created_at is 'When it was stored.';

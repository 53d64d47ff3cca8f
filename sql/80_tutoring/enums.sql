create type public.tutor_assignment_status as enum ('active', 'paused', 'completed');
comment on type public.tutor_assignment_status is
    'active: the tutor sees the student''s work, between the dates. paused: the tutor sees only the student''s '
    'profile. completed: the tutor sees nothing.';

create type public.goal_status as enum ('active', 'completed', 'paused', 'cancelled');
comment on type public.goal_status is
    'active: being worked on. completed, paused and cancelled can become active again.';

create type public.summary_type as enum ('normal', 'brief', 'missing_transcript');
comment on type public.summary_type is
    'normal: from a complete transcript. brief: from a short one. missing_transcript: from notes alone.';

create type public.practice_source as enum ('bank', 'ai_generated');
comment on type public.practice_source is
    'Where a practice question comes from: the reviewed bank, or written by the model for this student.';

create type public.qa_confidence as enum ('High', 'Medium', 'Low');
comment on type public.qa_confidence is 'How confident the companion was of an answer.';

create type public.override_type as enum ('summary', 'practice', 'qa_answer');
comment on type public.override_type is
    'What a tutor corrected: a session summary, a practice question, an answer to a question.';

create type public.invitation_kind as enum ('guardian', 'tutor');
comment on type public.invitation_kind is 'What whoever redeems an invitation becomes: a guardian or a tutor.';

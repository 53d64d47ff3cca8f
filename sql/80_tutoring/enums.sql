create type public.tutor_assignment_status as enum ('active', 'paused', 'completed');
comment on type public.tutor_assignment_status is
    'active: the tutor sees the student''s work, between the dates. paused: the tutor sees only the student''s '
    'profile. completed: the tutor sees nothing.';

create type public.goal_status as enum ('active', 'completed', 'paused', 'cancelled');
comment on type public.goal_status is
    'active: being worked on. completed, paused and cancelled can become active again.';

create type public.summary_type as enum ('normal', 'brief', 'missing_transcript');
comment on type public.summary_type is
    'normal: from a complete transcript. brief: from one of less than ten minutes. missing_transcript: from the '
    'topics of the session alone.';

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

create type public.practice_answer_kind as enum ('text', 'exact', 'numeric', 'choice');
comment on type public.practice_answer_kind is
    'How an answer is graded. text: by the model against the reference. exact: equal words. numeric: an equal number, '
    'within the tolerance. choice: the same choice.';

create type public.practice_grader as enum ('rule', 'model', 'tutor');
comment on type public.practice_grader is 'Who graded an answer.';

create type public.practice_review_state as enum ('none', 'needs_review', 'reviewed');
comment on type public.practice_review_state is
    'none: nothing to review. needs_review: the score is withheld until a tutor gives it. reviewed: a tutor did.';

create type public.goal_target as enum ('answers', 'minutes', 'sessions');
comment on type public.goal_target is
    'What a goal counts: answers given, minutes of answering, or tutoring sessions held.';

create type public.activity_kind as enum ('active', 'freeze');
comment on type public.activity_kind is
    'Why a day counts for a streak: the student worked, or a freeze was used for it.';

create type public.freeze_kind as enum ('earned', 'used');
comment on type public.freeze_kind is 'What happened to a freeze on a day.';

-- Values stand in the order of the life cycle, not of the alphabet.

create type public.study_block_status as enum ('planned', 'in_progress', 'completed', 'missed', 'cancelled');
comment on type public.study_block_status is
    'What became of a planned block; a missed or cancelled one can be planned again.';

create type public.notification_type as enum (
    'assignment_new', 'assignment_due', 'headstart_ready', 'headstart_failed', 'lecture_ready', 'lecture_failed',
    'study_block_reminder', 'nudge', 'integration_error', 'billing', 'system', 'question_escalated', 'announcement',
    'review_ready', 'week_started'
);
comment on type public.notification_type is 'What a notification is about; the front end chooses icon and link by it.';

create type public.notification_status as enum ('pending', 'sent', 'dismissed', 'failed');
comment on type public.notification_status is
    'pending: to be delivered. sent: in the inbox. dismissed: by the person. failed: delivery was given up.';

create type public.nudge_type as enum ('login', 'inactivity', 'cross_subject');
comment on type public.nudge_type is 'Why a nudge was made: at sign-in, after silence, or to point at another subject.';

create type public.nudge_channel as enum ('in_app', 'email', 'both');
comment on type public.nudge_channel is 'Where a nudge goes.';

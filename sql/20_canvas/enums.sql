-- Values stand in the order of the life cycle, not of the alphabet.

create type public.integration_provider as enum ('canvas', 'google_calendar', 'outlook_calendar', 'canvas_feed');
comment on type public.integration_provider is 'Outside systems a person can connect.';

create type public.integration_status as enum ('pending', 'connected', 'expired', 'revoked', 'error');
comment on type public.integration_status is
    'pending: started. connected: tokens work. expired: Canvas no longer accepts the grant; connect again. revoked: '
    'disconnected by the person. error: the provider refuses for another reason.';

create type public.lms_connection_status as enum ('pending', 'active', 'disabled');
comment on type public.lms_connection_status is
    'pending: somebody proposed it and staff have not decided. active: people may connect. disabled: refused or '
    'switched off; no new grants and no sync.';

create type public.assignment_status as enum ('open', 'submitted', 'graded', 'removed');
comment on type public.assignment_status is
    'Mirrors Canvas, in any order. open: nothing handed in. submitted: also while review is pending. graded. removed: '
    'missing from a complete listing; kept because headstarts and plans refer to it.';

create type public.week_status as enum ('planned', 'active', 'completed', 'archived');
comment on type public.week_status is
    'planned. active: being worked on. completed: done; can become active again. archived: final.';

create type public.kpi_trend as enum ('up', 'down', 'stable');
comment on type public.kpi_trend is 'The direction of a metric: the sign of its delta.';

create type public.review_depth as enum ('quick', 'standard', 'deep');
comment on type public.review_depth is 'How much of the repository a code review reads.';

create type public.review_status as enum ('pending', 'running', 'completed', 'failed');
comment on type public.review_status is
    'pending: waits for its job. running. completed: result_json is there. failed: see error_message; can be tried '
    'again.';

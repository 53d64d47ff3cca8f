-- Figures the system keeps about a person. Nobody writes them by REST: learners must not set their own points.
-- Filled by refresh_user_stats and touch_last_active.

create table public.user_stats (
    user_id uuid primary key,
    gamification jsonb not null default '{}',
    analytics jsonb not null default '{}',
    last_active timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint user_stats_user_id_fkey
        foreign key (user_id)
        references public.profiles(user_id) on delete cascade,
    constraint user_stats_gamification_check check (jsonb_typeof(gamification) = 'object'),
    constraint user_stats_analytics_check check (jsonb_typeof(analytics) = 'object')
);

comment on table public.user_stats is 'Points and engagement of a person, computed by the system. One row per account.';
comment on column public.user_stats.user_id is 'Whose figures.';
comment on column public.user_stats.gamification is 'Keys xp, level, badges, streaks, meta_rewards.';
comment on column public.user_stats.analytics is 'Keys override_count, confidence_distribution, nudge_engagement.';
comment on column public.user_stats.last_active is 'When the person last used the product, to five minutes.';
comment on column public.user_stats.created_at is 'When the row was made.';
comment on column public.user_stats.updated_at is 'When the row last changed.';

create trigger trg_user_stats_updated_at before update on public.user_stats
for each row execute function public.set_updated_at();

-- A number measured in a week of the programme. The service writes it. A trigger derives delta and trend, so that they
-- agree with the values.

create table public.kpi_metrics (
    id uuid primary key default gen_random_uuid(),
    week_id uuid not null,
    user_id uuid not null,
    metric_name text not null,
    metric_category text,
    current_value numeric not null,
    target_value numeric,
    previous_value numeric,
    delta numeric,
    trend public.kpi_trend,
    unit text,
    recorded_at timestamptz not null default now(),
    created_at timestamptz not null default now(),

    constraint kpi_metrics_user_id_fkey foreign key (user_id) references public.profiles(user_id) on delete cascade,
    constraint kpi_metrics_week_id_fkey
        foreign key (week_id, user_id) references public.weeks(id, user_id) on delete cascade,
    -- one measurement has one value, however often its job runs
    constraint kpi_metrics_week_id_metric_name_recorded_at_key unique (week_id, metric_name, recorded_at),
    constraint kpi_metrics_metric_name_check check (char_length(metric_name) between 1 and 200),
    constraint kpi_metrics_metric_category_check check (char_length(metric_category) <= 200),
    constraint kpi_metrics_unit_check check (char_length(unit) <= 50)
);

create index idx_kpi_metrics_week_id on public.kpi_metrics (week_id, user_id);
-- for the values of one metric over time
create index idx_kpi_metrics_user_id on public.kpi_metrics (user_id, metric_name, recorded_at desc);

comment on table public.kpi_metrics is 'Measured values of a person''s weeks, with change and direction.';
comment on column public.kpi_metrics.id is 'Identity of the row.';
comment on column public.kpi_metrics.week_id is 'The week.';
comment on column public.kpi_metrics.user_id is 'Whose week.';
comment on column public.kpi_metrics.metric_name is 'What is measured.';
comment on column public.kpi_metrics.metric_category is 'The group of the metric; any text.';
comment on column public.kpi_metrics.current_value is 'The value now.';
comment on column public.kpi_metrics.target_value is 'The value wanted.';
comment on column public.kpi_metrics.previous_value is 'The value before.';
comment on column public.kpi_metrics.delta is 'current_value minus previous_value; derived when both are there.';
comment on column public.kpi_metrics.trend is 'Sign of delta; derived when delta is there.';
comment on column public.kpi_metrics.unit is 'Unit of the values.';
comment on column public.kpi_metrics.recorded_at is 'When it was measured.';
comment on column public.kpi_metrics.created_at is 'When the row was written.';

create function private.derive_kpi()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if new.previous_value is not null then
        new.delta := new.current_value - new.previous_value;
    end if;
    if new.delta is not null then
        new.trend := case sign(new.delta) when 1 then 'up' when -1 then 'down' else 'stable' end;
    end if;
    return new;
end
$$;

comment on function private.derive_kpi() is
    'BEFORE INSERT OR UPDATE on kpi_metrics: with a previous value, delta becomes the difference; with a delta, trend '
    'becomes its sign. Otherwise both stay as they were sent.';

create trigger trg_kpi_metrics_derive before insert or update on public.kpi_metrics
for each row execute function private.derive_kpi();

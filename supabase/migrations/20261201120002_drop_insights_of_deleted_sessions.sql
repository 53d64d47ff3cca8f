-- Insights of a session that was deleted while they were written are dropped, and their job ends normally.
-- Touches: 70_programme. Undo: restore svc_finish_socratic_insights() of the migrations before.

set lock_timeout = '5s';

create or replace function public.svc_finish_socratic_insights(
    p_session_id uuid, p_insights jsonb, p_model text, p_prompt_version text, p_metrics jsonb default '{}'
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
    if p_session_id is null then
        raise exception 'p_session_id must not be null' using errcode = '22004';
    end if;
    -- with its week, while the model wrote; its lines cannot be quoted any more
    perform from public.socratic_sessions where id = p_session_id for no key update;
    if not found then
        return false;
    end if;
    if jsonb_typeof(p_insights) is distinct from 'array' or exists (
        select from jsonb_array_elements(p_insights) as e (insight)
        where not exists (
            select from public.socratic_messages as m
            where m.session_id = p_session_id and m.id::text = e.insight ->> 'message_id'
                and char_length(e.insight ->> 'text') between 1 and 2000 and e.insight ->> 'quote' is not null
        )
    ) then
        raise exception 'p_insights must be a list of {text, message_id, quote} of lines of this session'
            using errcode = '22023';
    end if;
    update public.socratic_sessions set
        insights_generated = array(
            select e.insight ->> 'text' from jsonb_array_elements(p_insights) with ordinality as e (insight, n)
            order by e.n
        ),
        session_metadata = session_metadata || jsonb_build_object(
            'insights', p_insights,
            'insights_run', jsonb_build_object(
                'model', p_model, 'prompt_version', p_prompt_version, 'metrics', coalesce(p_metrics, '{}')
            )
        )
    where id = p_session_id and ended_at is not null and not session_metadata ? 'insights';
    return found;
end
$$;

comment on function public.svc_finish_socratic_insights(uuid, jsonb, text, text, jsonb) is
    'Stores the insights of an ended session once: their texts in insights_generated, and [{text, message_id, quote}] '
    'in session_metadata.insights. False, and nothing changes, when they are there or the session is gone. 22023 when '
    'one quotes no line of the session.';

-- What an answer's confidence rests on, and what an answer must not contain.

create function public.svc_question_terms(
    p_user_id uuid, p_words text, p_chunk_ids uuid[], p_catalog_course_ids uuid[] default null
)
returns table (term text, fragments bigint, total bigint, chunk_ids uuid[])
language plpgsql
stable
security definer
set search_path = ''
-- as in private.find_chunks
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    v_scope record;
begin
    if num_nulls(p_user_id, p_words, p_chunk_ids) > 0 then
        raise exception 'p_user_id, p_words and p_chunk_ids must not be null' using errcode = '22004';
    end if;
    select * into v_scope from private.visible_sources(p_user_id, p_catalog_course_ids, null);
    return query
    with visible as not materialized (
        select id, language, search from private.source_chunks
        where document_id = any (v_scope.documents) and retired_at is null
        union all
        select id, language, search from private.source_chunks
        where lecture_id = any (v_scope.lectures) and retired_at is null
        union all
        select id, language, search from private.source_chunks
        where content_source_id = any (v_scope.content_sources) and retired_at is null
    ),
    scope as materialized (
        select v.language, count(*) as fragments from visible as v group by v.language
    ),
    terms as materialized (
        select s.language, t.term, t.lexeme
        from scope as s, lateral private.query_terms(left(p_words, 2000), private.search_config(s.language)) as t
        where t.term like 'word %'
    ),
    wanted as materialized (
        select t.language, array_agg(distinct t.lexeme) as lexemes from terms as t group by t.language
    ),
    hits as materialized (
        select
            v.id, v.language,
            unnest(tsvector_to_array(ts_filter(setweight(v.search, 'A', w.lexemes), '{a}'))) as lexeme
        from visible as v inner join wanted as w on w.language = v.language
        where tsvector_to_array(v.search) && w.lexemes
    )
    select
        t.term, count(distinct h.id), (select sum(s.fragments)::bigint from scope as s),
        coalesce(array_agg(distinct h.id) filter (where h.id = any (p_chunk_ids)), '{}')
    from terms as t
    left join hits as h on h.language = t.language and h.lexeme = t.lexeme
    group by t.term
    order by t.term;
end
$$;

comment on function public.svc_question_terms(uuid, text, uuid[], uuid[]) is
    'The words of a question, as the search counts them: in how many of the person''s fragments each stands, of how '
    'many (total), and in which of p_chunk_ids. No row for words that are no terms, and none without any fragment.';

create function public.svc_question_keys(p_student_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
    if p_student_id is null then
        raise exception 'p_student_id must not be null' using errcode = '22004';
    end if;
    return jsonb_build_object(
        'assignments', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'id', a.id, 'title', a.title, 'description_html', a.description_html,
                'rubric', a.raw_payload -> 'rubric', 'notes', n.notes
            ) order by a.due_at, a.id), '[]')
            from (
                select * from public.assignments
                where user_id = p_student_id and status = 'open'
                order by due_at desc nulls last, id
                limit 500
            ) as a
            left join private.assignment_notes as n on n.assignment_id = a.id
        ),
        'practice', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'question', coalesce(i.question_text, p.ai_question_text),
                'kind', p.answer_kind,
                'choices', p.choices,
                'language', i.language,
                'explanation', coalesce(b.explanation, k.ai_explanation),
                'answers', coalesce(array[b.answer_text] || b.accepted_answers, array[k.ai_answer_text])
            ) order by p.assigned_at, p.id), '[]')
            from public.practice_assignments as p
            left join public.practice_bank_items as i on i.id = p.bank_item_id
            left join public.practice_bank_answers as b on b.item_id = p.bank_item_id
            left join public.practice_assignment_answers as k on k.practice_assignment_id = p.id
            where p.student_id = p_student_id and not p.completed and not private.is_refused(p)
                and coalesce(b.answer_text, k.ai_answer_text) is not null
        )
    );
end
$$;

comment on function public.svc_question_keys(uuid) is
    'What no answer to a student may contain: {assignments: [{id, title, description_html, rubric, notes}], practice: '
    '[{question, kind, choices, language, explanation, answers}]} of all that is open. Compare with it; never show it '
    'and never send it to a model.';

-- What the parts of generated content look like, and how they read as Markdown. There is one renderer, here, because
-- teachers edit the parts over REST: content and content_md cannot say different things at any moment.
--
-- Parts that are not of their kind's shape are refused with 22023, which names the place. Fields that no renderer shows
-- are refused too.

create function private.content_object(
    p_path text, p_value jsonb, p_required text[], p_optional text[] default '{}'
)
returns jsonb
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_key text;
begin
    if jsonb_typeof(p_value) is distinct from 'object' then
        raise exception '% must be an object', p_path using errcode = '22023';
    end if;
    foreach v_key in array p_required loop
        if not p_value ? v_key then
            raise exception '%.% is missing', p_path, v_key using errcode = '22023';
        end if;
    end loop;
    select key into v_key from jsonb_object_keys(p_value) as key where key <> all (p_required || p_optional) limit 1;
    if found then
        raise exception '% must not have the field %', p_path, quote_ident(left(v_key, 100)) using errcode = '22023';
    end if;
    return p_value;
end
$$;

comment on function private.content_object(text, jsonb, text[], text[]) is
    'p_value, which must be an object with these fields and no others. 22023 names p_path.';

create function private.content_text(p_path text, p_value jsonb, p_indent int default 0)
returns text
language plpgsql
immutable
set search_path = ''
as $$
begin
    if jsonb_typeof(p_value) is distinct from 'string' or char_length(p_value #>> '{}') > 50000 then
        raise exception '% must be a text of at most 50000 characters', p_path using errcode = '22023';
    end if;
    return replace(
        regexp_replace(btrim(p_value #>> '{}', e' \t\r\n'), e'\r\n?', e'\n', 'g'), e'\n', e'\n' || repeat(' ', p_indent)
    );
end
$$;

comment on function private.content_text(text, jsonb, int) is
    'A Markdown text, trimmed; its further lines are indented, so that they stay within a list. 22023 names p_path.';

create function private.content_line(p_path text, p_value jsonb, p_is_cell boolean default false)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_line constant text := regexp_replace(private.content_text(p_path, p_value), '\s+', ' ', 'g');
begin
    return case when p_is_cell then regexp_replace(v_line, '(?<!\\)\|', '\|', 'g') else v_line end;
end
$$;

comment on function private.content_line(text, jsonb, boolean) is
    'A text on one line; in a cell of a table its bars are escaped. 22023 names p_path.';

create function private.content_number(p_path text, p_value jsonb)
returns numeric
language plpgsql
immutable
set search_path = ''
as $$
begin
    if jsonb_typeof(p_value) is distinct from 'number' or p_value::numeric not between 0 and 100000 then
        raise exception '% must be a number between 0 and 100000', p_path using errcode = '22023';
    end if;
    return trim_scale(p_value::numeric);
end
$$;

comment on function private.content_number(text, jsonb) is 'A number from 0 to 100000. 22023 names p_path.';

create function private.content_items(p_path text, p_value jsonb, p_min int default 0)
returns table (item jsonb, number bigint, path text)
language plpgsql
immutable
set search_path = ''
as $$
begin
    if jsonb_typeof(p_value) is distinct from 'array' or jsonb_array_length(p_value) not between p_min and 200 then
        raise exception '% must be a list of % to 200 entries', p_path, p_min using errcode = '22023';
    end if;
    return query
    select e.value, e.ordinality, format('%s[%s]', p_path, e.ordinality)
    from jsonb_array_elements(p_value) with ordinality as e;
end
$$;

comment on function private.content_items(text, jsonb, int) is
    'The entries of a list with their numbers and paths. 22023 names p_path.';

create function private.content_label(p_content jsonb, p_key text, p_default text)
returns text
language sql
immutable
set search_path = ''
as $$
    select coalesce(
        case when p_content -> 'labels' ? p_key then
            nullif(private.content_line('content.labels.' || p_key, p_content -> 'labels' -> p_key), '')
        end,
        p_default
    );
$$;

comment on function private.content_label(jsonb, text, text) is
    'A heading in the language of the content, which its field labels may name; else the English one.';

create function private.content_list(p_content jsonb, p_key text, p_heading text)
returns text
language sql
immutable
set search_path = ''
as $$
    select format(e'## %s\n\n', private.content_label(p_content, p_key, p_heading))
        || string_agg('- ' || private.content_text(i.path, i.item, 2), e'\n' order by i.number)
    from private.content_items('content.' || p_key, p_content -> p_key) as i
    having count(*) > 0;
$$;

comment on function private.content_list(jsonb, text, text) is
    'A list of texts under a heading; null when it is empty.';

create function private.content_sections(p_content jsonb, p_min int)
returns text
language sql
immutable
set search_path = ''
as $$
    select string_agg(
        concat_ws(
            e'\n\n',
            '## ' || nullif(private.content_line(i.path || '.heading', s.part -> 'heading'), ''),
            nullif(private.content_text(i.path || '.text', s.part -> 'text'), '')
        ), e'\n\n' order by i.number
    )
    from private.content_items('content.sections', p_content -> 'sections', p_min) as i
    cross join lateral private.content_object(i.path, i.item, '{heading, text}') as s(part);
$$;

comment on function private.content_sections(jsonb, int) is 'The field sections, each with heading and text.';

create function private.content_under(p_content jsonb, p_key text, p_heading text)
returns text
language sql
immutable
set search_path = ''
as $$
    select format(e'## %s\n\n', private.content_label(p_content, p_key, p_heading))
        || nullif(private.content_text('content.' || p_key, p_content -> p_key), '');
$$;

comment on function private.content_under(jsonb, text, text) is 'A text under a heading; null when it is empty.';

create function private.content_answers(p_content jsonb, p_answers text[])
returns text
language sql
immutable
set search_path = ''
as $$
    select format(e'## %s\n\n', private.content_label(p_content, 'answers', 'Answers'))
        || array_to_string(p_answers, e'\n\n')
    where p_answers <> '{}';
$$;

comment on function private.content_answers(jsonb, text[]) is
    'The answers to questions or tasks, which come last; null when there are none.';

create function private.content_letter(p_path text, p_number int)
returns text
language plpgsql
immutable
set search_path = ''
as $$
begin
    if p_number > 26 then
        raise exception '% is past the 26th choice', p_path using errcode = '22023';
    end if;
    return chr(64 + p_number);
end
$$;

comment on function private.content_letter(text, int) is 'The letter of a choice: A for 1.';

create function private.quiz_markdown(p_content jsonb, p_has_answers boolean)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_points constant text := private.content_label(p_content, 'points', 'points');
    v_row record;
    v_entry record;
    v_question text;
    v_right text[];
    v_choices int;
    v_number numeric;
    v_questions text[] := '{}';
    v_answers text[] := '{}';
begin
    for v_row in
        select i.number, i.path, private.content_object(
            i.path, i.item, '{prompt, choices, correct, answer, explanation, points}'
        ) as part
        from private.content_items('content.questions', p_content -> 'questions', 1) as i order by i.number
    loop
        v_question := format(
            e'%s. %s\n\n    *%s %s*', v_row.number,
            private.content_text(v_row.path || '.prompt', v_row.part -> 'prompt', 4),
            private.content_number(v_row.path || '.points', v_row.part -> 'points'), v_points
        );
        v_choices := 0;
        for v_entry in
            select i.* from private.content_items(v_row.path || '.choices', v_row.part -> 'choices') as i
            order by i.number
        loop
            v_choices := v_choices + 1;
            v_question := v_question || case v_choices when 1 then e'\n\n' else e'\n' end || format(
                '    - **%s** %s', private.content_letter(v_entry.path, v_choices),
                private.content_text(v_entry.path, v_entry.item, 6)
            );
        end loop;
        v_questions := v_questions || v_question;
        v_right := '{}';
        for v_entry in
            select i.* from private.content_items(v_row.path || '.correct', v_row.part -> 'correct') as i
            order by i.number
        loop
            v_number := private.content_number(v_entry.path, v_entry.item);
            if v_number not between 1 and v_choices or v_number <> trunc(v_number) then
                raise exception '% must be the number of a choice', v_entry.path using errcode = '22023';
            end if;
            v_right := v_right || format('**%s**', private.content_letter(v_entry.path, v_number::int));
        end loop;
        if v_choices > 0 and v_right = '{}' then
            raise exception '%.correct must name a choice', v_row.path using errcode = '22023';
        end if;
        v_answers := v_answers || format('%s. %s', v_row.number, concat_ws(
            e'\n\n    ', nullif(array_to_string(v_right, ', '), ''),
            nullif(private.content_text(v_row.path || '.answer', v_row.part -> 'answer', 4), ''),
            nullif(private.content_text(v_row.path || '.explanation', v_row.part -> 'explanation', 4), '')
        ));
    end loop;
    return concat_ws(
        e'\n\n', nullif(private.content_text('content.instructions', p_content -> 'instructions'), ''),
        array_to_string(v_questions, e'\n\n'),
        case when p_has_answers then private.content_answers(p_content, v_answers) end
    );
end
$$;

comment on function private.quiz_markdown(jsonb, boolean) is 'A quiz: its questions, then the answers.';

create function private.rubric_markdown(p_content jsonb)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_row record;
    v_levels text[] := '{}';
    v_cells text[];
    v_lines text[] := '{}';
begin
    for v_row in
        select i.path, private.content_object(i.path, i.item, '{name, points}') as part
        from private.content_items('content.levels', p_content -> 'levels', 1) as i order by i.number
    loop
        v_levels := v_levels || format(
            '%s (%s)', private.content_line(v_row.path || '.name', v_row.part -> 'name', true),
            private.content_number(v_row.path || '.points', v_row.part -> 'points')
        );
    end loop;
    for v_row in
        select i.path, private.content_object(i.path, i.item, '{name, descriptions}') as part
        from private.content_items('content.criteria', p_content -> 'criteria', 1) as i order by i.number
    loop
        select array_agg(private.content_line(i.path, i.item, true) order by i.number) into v_cells
        from private.content_items(v_row.path || '.descriptions', v_row.part -> 'descriptions') as i;
        if cardinality(v_cells) is distinct from cardinality(v_levels) then
            raise exception '%.descriptions must have one entry for each level', v_row.path using errcode = '22023';
        end if;
        v_lines := v_lines || format(
            '| **%s** | %s |', private.content_line(v_row.path || '.name', v_row.part -> 'name', true),
            array_to_string(v_cells, ' | ')
        );
    end loop;
    return concat_ws(
        e'\n\n', nullif(private.content_text('content.summary', p_content -> 'summary'), ''),
        format(
            e'|  | %s |\n|%s\n%s', array_to_string(v_levels, ' | '), repeat(' --- |', cardinality(v_levels) + 1),
            array_to_string(v_lines, e'\n')
        )
    );
end
$$;

comment on function private.rubric_markdown(jsonb) is 'A rubric as a table: criteria down, levels across.';

create function private.worksheet_markdown(p_content jsonb, p_has_answers boolean)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_section record;
    v_task record;
    v_number int := 0;
    v_parts text[] := array[private.content_text('content.instructions', p_content -> 'instructions')];
    v_answers text[] := '{}';
begin
    for v_section in
        select i.path, private.content_object(i.path, i.item, '{heading, text, tasks}') as part
        from private.content_items('content.sections', p_content -> 'sections', 1) as i order by i.number
    loop
        v_parts := v_parts
            || ('## ' || nullif(private.content_line(v_section.path || '.heading', v_section.part -> 'heading'), ''))
            || private.content_text(v_section.path || '.text', v_section.part -> 'text');
        for v_task in
            select i.path, private.content_object(i.path, i.item, '{prompt, answer}') as part
            from private.content_items(v_section.path || '.tasks', v_section.part -> 'tasks') as i order by i.number
        loop
            v_number := v_number + 1;
            v_parts := v_parts || format(
                '%s. %s', v_number, private.content_text(v_task.path || '.prompt', v_task.part -> 'prompt', 4)
            );
            v_answers := v_answers || format(
                '%s. %s', v_number, private.content_text(v_task.path || '.answer', v_task.part -> 'answer', 4)
            );
        end loop;
    end loop;
    return concat_ws(
        e'\n\n', array_to_string(array_remove(v_parts, ''), e'\n\n'),
        case when p_has_answers then private.content_answers(p_content, v_answers) end
    );
end
$$;

comment on function private.worksheet_markdown(jsonb, boolean) is
    'A worksheet: sections with tasks, which are numbered throughout, then the answers.';

create function private.lesson_plan_markdown(p_content jsonb)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_minutes constant text := private.content_label(p_content, 'minutes', 'min');
    v_steps text;
begin
    select string_agg(
        format(
            e'%s. **%s** (%s %s)\n\n    %s', i.number, private.content_line(i.path || '.title', s.part -> 'title'),
            private.content_number(i.path || '.minutes', s.part -> 'minutes'), v_minutes,
            private.content_text(i.path || '.text', s.part -> 'text', 4)
        ), e'\n\n' order by i.number
    )
    into v_steps
    from private.content_items('content.steps', p_content -> 'steps', 1) as i
    cross join lateral private.content_object(i.path, i.item, '{title, minutes, text}') as s(part);
    return concat_ws(
        e'\n\n', nullif(private.content_text('content.summary', p_content -> 'summary'), ''),
        private.content_list(p_content, 'objectives', 'Objectives'),
        private.content_list(p_content, 'materials', 'Materials'),
        format(e'## %s\n\n%s', private.content_label(p_content, 'steps', 'Steps'), v_steps),
        private.content_list(p_content, 'differentiation', 'Differentiation'),
        private.content_under(p_content, 'assessment', 'Assessment'),
        private.content_under(p_content, 'homework', 'Homework')
    );
end
$$;

comment on function private.lesson_plan_markdown(jsonb) is 'A lesson plan: objectives, materials, steps with minutes.';

create function private.slides_markdown(p_content jsonb)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_notes constant text := private.content_label(p_content, 'notes', 'Notes');
    v_slide record;
    v_notes_text text;
    v_parts text[] := '{}';
begin
    for v_slide in
        select i.number, i.path, private.content_object(i.path, i.item, '{title, bullets, notes}') as part
        from private.content_items('content.slides', p_content -> 'slides', 1) as i order by i.number
    loop
        v_parts := v_parts || format(
            '## %s. %s', v_slide.number, private.content_line(v_slide.path || '.title', v_slide.part -> 'title')
        ) || (
            select string_agg('- ' || private.content_text(i.path, i.item, 2), e'\n' order by i.number)
            from private.content_items(v_slide.path || '.bullets', v_slide.part -> 'bullets') as i
        );
        v_notes_text := private.content_text(v_slide.path || '.notes', v_slide.part -> 'notes');
        if v_notes_text <> '' then
            v_parts := v_parts || ('> ' || replace(format(e'**%s**\n\n%s', v_notes, v_notes_text), e'\n', e'\n> '));
        end if;
    end loop;
    return array_to_string(v_parts, e'\n\n');
end
$$;

comment on function private.slides_markdown(jsonb) is 'Slides: a heading and bullets each, with notes as a quotation.';

create function private.summary_markdown(p_content jsonb)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_terms text;
begin
    select string_agg(
        format(
            '- **%s**: %s', private.content_line(i.path || '.term', t.part -> 'term'),
            private.content_text(i.path || '.meaning', t.part -> 'meaning', 2)
        ), e'\n' order by i.number
    )
    into v_terms
    from private.content_items('content.terms', p_content -> 'terms') as i
    cross join lateral private.content_object(i.path, i.item, '{term, meaning}') as t(part);
    return concat_ws(
        e'\n\n', nullif(private.content_text('content.overview', p_content -> 'overview'), ''),
        private.content_list(p_content, 'key_points', 'Key points'), private.content_sections(p_content, 0),
        format(e'## %s\n\n%s', private.content_label(p_content, 'terms', 'Terms'), nullif(v_terms, ''))
    );
end
$$;

comment on function private.summary_markdown(jsonb) is 'A summary: overview, key points, sections, terms.';

create function private.render_content(
    p_kind public.generated_content_kind, p_content jsonb, p_has_answers boolean default true
)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
    v_fields constant text[] := case p_kind
        when 'lesson_plan' then
            '{summary, objectives, materials, steps, differentiation, assessment, homework}'
        when 'quiz' then '{instructions, questions}'
        when 'rubric' then '{summary, levels, criteria}'
        when 'worksheet' then '{instructions, sections}'
        when 'slides' then '{slides}'
        when 'summary' then '{overview, key_points, sections, terms}'
        else '{sections}'
    end;
    v_labels constant text[] := case p_kind
        when 'lesson_plan' then
            '{objectives, materials, steps, differentiation, assessment, homework, minutes}'
        when 'quiz' then '{answers, points}'
        when 'worksheet' then '{answers}'
        when 'slides' then '{notes}'
        when 'summary' then '{key_points, terms}'
        else '{}'
    end;
begin
    if p_content ? 'markdown' then
        perform private.content_object('content', p_content, '{markdown}');
        if jsonb_typeof(p_content -> 'markdown') <> 'string' then
            raise exception '% must be a text', 'content.markdown' using errcode = '22023';
        end if;
        return p_content ->> 'markdown';
    end if;
    perform private.content_object('content', p_content, v_fields, '{labels}');
    perform private.content_object('content.labels', coalesce(p_content -> 'labels', '{}'), '{}', v_labels);
    return case p_kind
        when 'lesson_plan' then private.lesson_plan_markdown(p_content)
        when 'quiz' then private.quiz_markdown(p_content, p_has_answers)
        when 'rubric' then private.rubric_markdown(p_content)
        when 'worksheet' then private.worksheet_markdown(p_content, p_has_answers)
        when 'slides' then private.slides_markdown(p_content)
        when 'summary' then private.summary_markdown(p_content)
        else private.content_sections(p_content, 1)
    end;
end
$$;

comment on function private.render_content(public.generated_content_kind, jsonb, boolean) is
    'The parts of generated content as Markdown; without answers, as students see it. Content {"markdown": text} is '
    'that text. 22023 when the parts do not have the shape of their kind.';

"""The solutions that stand in the description of an assignment, and the description without them.

Some descriptions contain model solutions or notes for teachers: under a heading, after a label, in a fold, or hidden by
style. They are removed before a model reads the task, and the leak guard compares what the model writes with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode

from functions.shared.leaks.labels import MAX_LABEL_CHARACTERS, ends_solution, is_blank, is_instruction, label_of
from functions.shared.leaks.words import Language, language_of
from functions.shared.markup.html import read_html, topmost

MAX_RUBRIC_CHARACTERS = 8_000
MAX_CRITERIA = 30
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
BLOCKS = frozenset({*HEADINGS, "p", "div", "ul", "ol", "table", "pre", "blockquote", "details", "section", "hr", "dl"})


class Description(NamedTuple):
    """A description with its rubric, as Markdown without solutions, and the solutions."""

    text: str
    solutions: Sequence[str]


def read_description(html: str | None, rubric: Any = None, notes: str | None = None) -> Description:
    """Reads a description.

    :param rubric: as Canvas gives it
    :param notes: texts that the description hid, as sync found them
    """
    page = read_html(html or "")
    solutions = [*page.hidden, *([notes] if notes else []), *take_solutions(page.tree)]
    text, cut = plain_solutions(page.markdown())
    criteria, answers = rubric_of(rubric)
    return Description("\n\n".join(part for part in (text, criteria) if part), [*solutions, *cut, *answers])


def rubric_of(rubric: Any) -> tuple[str, list[str]]:
    """A rubric as text, and the solutions and hidden texts that were in it. It may be HTML, as descriptions are."""
    lines: list[str] = []
    solutions: list[str] = []

    def words(value: Any) -> str:
        page = read_html(str(value or "")[:MAX_RUBRIC_CHARACTERS])
        solutions.extend(page.hidden)
        return page.markdown().strip()

    for one in rubric[:MAX_CRITERIA] if isinstance(rubric, list) else []:
        if not isinstance(one, dict):
            continue
        title = f"{words(one.get('description'))} ({one.get('points')} points)"
        # a label takes what follows it, so each criterion is read alone
        kept, cut = plain_solutions(f"{title}\n{words(one.get('long_description'))}")
        solutions.extend(cut)
        lines += ["- " + "\n  ".join(line for line in kept.splitlines() if line.strip())]
        ratings = one.get("ratings")
        for rating in ratings[:MAX_CRITERIA] if isinstance(ratings, list) else []:
            if isinstance(rating, dict):
                said = " ".join(words(rating.get(key)) for key in ("description", "long_description")).split()
                lines.append(f"  - {rating.get('points')} points: {' '.join(said)}")
    return "\n".join(lines)[:MAX_RUBRIC_CHARACTERS], solutions


def take_solutions(tree: LexborHTMLParser) -> list[str]:
    """Removes solutions from a description's tree and returns their texts.

    A labelled section ends at the next heading. Instructions and room for answers stay, and where nothing of the task
    would be left, nothing is taken.
    """
    if tree.body is None:
        return []
    sections: list[list[LexborNode]] = []
    taken: set[int] = set()
    for fold in tree.css("details"):
        summary = fold.css_first("summary")
        if summary is not None and label_of(summary.text(strip=True))[0]:
            sections.append([fold])
            taken |= {fold.mem_id, *(node.mem_id for node in fold.css("*"))}
    for node in tree.css(",".join((*HEADINGS, "p", "strong", "b", "li", "dt", "div"))):
        kind, rest = label_of(own_text(node))
        block = block_of(node)
        if not kind or block is None or block.mem_id in taken:
            continue
        found = section(block, kind, rest, language_of(tree.body.text(separator=" ")))
        if found:
            sections.append(found)
            taken |= {inner.mem_id for one in found for inner in (one, *one.css("*"))}
    texts = ["\n".join(text_of(node) for node in found) for found in sections]
    if len("".join(tree.body.text().split())) <= len("".join("".join(texts).replace("```", "").split())):
        # the description is nothing else, so it is the task
        return []
    for node in topmost([node for found in sections for node in found]):
        node.decompose()
    return [text for text in texts if text.strip()]


def block_of(node: LexborNode) -> LexborNode | None:
    """The block in which a label stands; None when that is the whole page."""
    block: LexborNode | None = node
    while block is not None and block.tag not in BLOCKS:
        block = block.parent
    return None if block is None or block.tag in ("body", "html") else block


def section(first: LexborNode, kind: str, rest: str, language: Language) -> list[LexborNode]:
    """The block that announces a solution and the blocks of the solution after it; none when there is no solution."""
    level = HEADINGS.index(first.tag) if first.tag in HEADINGS else None
    if rest and not is_solution(rest, kind, language):
        return []
    found = [first]
    node = first.next
    while node is not None:
        if node.tag == "hr" or (node.tag in HEADINGS and (level is None or HEADINGS.index(node.tag) <= level)):
            break
        text = text_of(node).strip()
        if text:
            if level is None and ends_solution(text.split("\n", 1)[0][:MAX_LABEL_CHARACTERS]):
                break
            if not is_solution(text, kind, language):
                break
            found.append(node)
        node = node.next
    return found if rest or len(found) > 1 else []


def is_solution(text: str, kind: str, language: Language) -> bool:
    """Whether what follows a label is a solution, and not an instruction or room for an answer."""
    return not is_blank(text) and (kind == "model" or not is_instruction(text, language))


def text_of(node: LexborNode) -> str:
    """All text of a node. Code keeps its lines, between fences, so that it can be compared as code."""
    if node.tag == "-text":
        return node.text_content or ""
    code = [child.text() for child in node.css("pre")] if node.tag != "pre" else [node.text()]
    text = node.text(separator=" ", strip=True)
    return text + "".join(f"\n```\n{block}\n```\n" for block in code)


def own_text(node: LexborNode) -> str:
    """The beginning of a node's text. Empty for a div that contains blocks."""
    if node.tag == "div" and any(child.tag in BLOCKS for child in node.iter()):
        return ""
    return node.text(strip=True)[:120]


def plain_solutions(markdown: str) -> tuple[str, list[str]]:
    """The text without its solutions, and the solutions: a labelled line up to the next heading or section."""
    if not any(label_of(line)[0] for line in markdown.splitlines()):
        return markdown, []
    language = language_of(markdown)
    kept: list[str] = []
    taken: list[list[str]] = []
    kind = ""
    for line in markdown.splitlines():
        found, rest = label_of(line)
        if found and (not rest or is_solution(rest, found, language)):
            kind = found
            taken.append([line])
            continue
        if line.startswith("#") or ends_solution(line) or (line.strip() and not is_solution(line, kind, language)):
            kind = ""
        (taken[-1] if kind else kept).append(line)
    solutions = [part for part in taken if any(line.strip() for line in part[1:]) or label_of(part[0])[1]]
    text = "\n".join(kept).strip()
    if not text or len(solutions) < len(taken):
        # nothing would be left of the task, or a label has nothing behind it
        return markdown, []
    return text, ["\n".join(part) for part in solutions]

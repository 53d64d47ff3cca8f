"""Generated material as files: Markdown, a page of HTML, and CSV of what has rows.

The CSV of a quiz is for spreadsheets. No import tool of Canvas is promised to read it.
"""

from __future__ import annotations

import csv
import html
import io
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from functions.chat.errors import ExportNotSupported
from functions.shared.markup.markdown import markdown_to_html, plain

# Excel takes a file without it for one in the local code page
BOM = "\ufeff"
# what makes a spreadsheet take a text for a formula, in wide forms too
FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")
MAX_NAME_CHARACTERS = 100
STYLE = (
    "body{font:1rem/1.5 sans-serif;max-width:45rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{border:1px solid #999;padding:.3rem .5rem;vertical-align:top}"
)
PAGE = (
    '<!doctype html>\n<html><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>\n'
    "<body>\n<h1>{title}</h1>\n{body}</body></html>\n"
)
# the page runs nothing and loads nothing, wherever it is opened
POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class Export(NamedTuple):
    """A file to be sent."""

    data: str
    media_type: str
    filename: str


def export(row: Mapping[str, Any], markdown: str, form: str, has_answers: bool) -> Export:
    """The material in a form.

    :param row: of generated_content: ``kind``, ``title``, ``content``, ``citations``
    :param markdown: what its parts render to, with or without the answers
    :param form: md, html or csv
    :raise ExportNotSupported: it has no rows, or its Markdown was edited, so that answers or rows cannot be told
    """
    content = row["content"]
    if "markdown" in content and (form == "csv" or not has_answers):
        raise ExportNotSupported("Its text was edited as Markdown, so its parts are not known. Take it as it is.")
    title = str(row["title"])
    match form:
        case "csv":
            return Export(as_csv(row["kind"], content, has_answers), "text/csv", filename(title, "csv"))
        case "html":
            body = markdown_to_html(f"{markdown}\n\n{sources_of(row['citations'])}")
            page = PAGE.format(title=html.escape(title), style=STYLE, body=body)
            return Export(page, "text/html", filename(title, "html"))
        case _:
            text = f"# {plain(title)}\n\n{markdown}\n\n{sources_of(row['citations'])}".strip() + "\n"
            return Export(text, "text/markdown", filename(title, "md"))


def sources_of(citations: Sequence[Mapping[str, Any]]) -> str:
    """What the numbers in brackets stand for."""
    return "\n".join(f"\\[{one['number']}\\] {plain(' '.join(str(one['title']).split()))}  " for one in citations)


def filename(title: str, suffix: str) -> str:
    """A name for the file, of letters and digits of any script."""
    folded = unicodedata.normalize("NFC", title)
    name = re.sub(r"[^\w]+", "-", folded).strip("-_")[:MAX_NAME_CHARACTERS]
    return f"{name or 'material'}.{suffix}"


# ---- CSV ----------------------------------------------------------------------------------------------------------


def as_csv(kind: str, content: Mapping[str, Any], has_answers: bool) -> str:
    """The rows of a quiz, a rubric or slides.

    :raise ExportNotSupported: the kind has no rows
    """
    rows_of: Callable[[Mapping[str, Any], bool], list[list[Any]]] | None = ROWS.get(kind)
    if rows_of is None:
        raise ExportNotSupported
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([cell(value) for value in row] for row in rows_of(content, has_answers))
    return BOM + out.getvalue()


def cell(value: Any) -> str:
    """A value that no spreadsheet takes for a formula. Numbers stay numbers."""
    text = str(value)
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def quiz_rows(content: Mapping[str, Any], has_answers: bool) -> list[list[Any]]:
    """A row for each question; the columns of its choices come before those of the answer."""
    questions = content["questions"]
    width = max(len(question["choices"]) for question in questions)
    letters = [chr(ord("A") + place) for place in range(width)]
    answers = ["correct", "answer", "explanation"] if has_answers else []
    rows: list[list[Any]] = [["number", "question", "points", *[f"choice {letter}" for letter in letters], *answers]]
    for number, question in enumerate(questions, 1):
        choices = [*question["choices"], *[""] * (width - len(question["choices"]))]
        right = ", ".join(letters[int(one) - 1] for one in question["correct"])
        solved = [right, question["answer"], question["explanation"]] if has_answers else []
        rows.append([number, question["prompt"], question["points"], *choices, *solved])
    return rows


def rubric_rows(content: Mapping[str, Any], has_answers: bool) -> list[list[Any]]:
    """A row for each criterion."""
    levels = [f"{level['name']} ({level['points']})" for level in content["levels"]]
    return [["criterion", *levels], *[[row["name"], *row["descriptions"]] for row in content["criteria"]]]


def slides_rows(content: Mapping[str, Any], has_answers: bool) -> list[list[Any]]:
    """A row for each slide."""
    rows: list[list[Any]] = [["number", "title", "bullets", "notes"]]
    for number, slide in enumerate(content["slides"], 1):
        rows.append([number, slide["title"], "\n".join(slide["bullets"]), slide["notes"]])
    return rows


ROWS = {"quiz": quiz_rows, "rubric": rubric_rows, "slides": slides_rows}

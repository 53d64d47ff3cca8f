"""One reading of Markdown for the guard: the blocks of a text, by the tokens of the product's parser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from markdown_it.token import Token

from functions.shared.markup.markdown import is_readable, tokens

Kind = Literal["heading", "prose", "item", "code", "table"]
MARKUP = re.compile(r"[*_~`]+")


@dataclass
class Block:
    """A piece of a text.

    :param text: without marks; formulas as LaTeX; code as it stands
    :param label: what stands in bold at the beginning of prose
    :param rows: the cells of a table, head first
    :param formulas: the LaTeX of its formulas
    """

    kind: Kind
    text: str = ""
    label: str = ""
    rows: list[list[str]] = field(default_factory=list)
    formulas: list[str] = field(default_factory=list)


def blocks_of(text: str) -> list[Block]:
    """The blocks of a text in their order. One that is no document is read as prose, paragraph by paragraph."""
    if not is_readable(text):
        return [Block("prose", part) for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
    found: list[Block] = []
    items = 0
    table: Block | None = None
    heading = False
    for token in tokens(text):
        match token.type:
            case "list_item_open" | "list_item_close":
                items += token.nesting
            case "heading_open" | "heading_close":
                heading = token.nesting > 0
            case "fence" | "code_block":
                found.append(Block("code", token.content))
            case "formula":
                found.append(Block("prose", token.content, formulas=[token.content]))
            case "table_open":
                table = Block("table")
                found.append(table)
            case "table_close":
                table = None
            case "tr_open" if table is not None:
                table.rows.append([])
            case "inline" if table is not None and table.rows:
                table.rows[-1].append(plain(token)[0])
                table.text += table.rows[-1][-1] + "\n"
            case "inline":
                shown, label, formulas = plain(token)
                kind: Kind = "heading" if heading else "item" if items else "prose"
                found.append(Block(kind, shown, label, formulas=formulas))
    return found


def plain(token: Token) -> tuple[str, str, list[str]]:
    """The text of a line without marks, what is bold at its beginning, and its formulas."""
    parts: list[str] = []
    formulas: list[str] = []
    label: list[str] = []
    depth = 0
    for child in token.children or []:
        if child.type == "strong_open":
            depth += 1
        elif child.type == "strong_close":
            depth -= 1
        piece = "\n" if child.type in ("softbreak", "hardbreak") else child.content
        if child.type == "formula":
            formulas.append(piece)
        if depth and not "".join(parts[: len(parts) - len(label)]).strip():
            label.append(piece)
        parts.append(piece)
    return "".join(parts), "".join(label).strip(), formulas

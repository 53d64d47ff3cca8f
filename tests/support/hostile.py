"""Texts that make a careless reader slow: each grows with the square of its length somewhere."""

from __future__ import annotations

import os
from collections.abc import Callable

# Of the longest text: its square takes minutes, a line of it no time. HOSTILE_CHARS=1000000 asks for more.
CHARS = int(os.environ.get("HOSTILE_CHARS", "100000"))

# the text of a given number of characters
HOSTILE: dict[str, Callable[[int], str]] = {
    "blank lines": lambda n: "\n" * n,
    "lines of blanks": lambda n: ("\n" + " " * 50) * (n // 51),
    "one line of blanks": lambda n: "a" + " " * n + "b",
    "runs of ~~~": lambda n: "~~~\n" * (n // 4),
    "images that do not end": lambda n: "![" * (n // 2),
    "brackets": lambda n: "[" * n,
    "closing brackets": lambda n: "]" * n,
    "nested pairs": lambda n: "[" * (n // 2) + "]" * (n // 2),
    "links in links": lambda n: "![[a](b)" * (n // 8),
    "one long word": lambda n: "a" * n,
    "one long line": lambda n: "word " * (n // 5),
    "quotes": lambda n: ">" * n,
    "quoted lists": lambda n: "> - " * (n // 4),
    "deep lists": lambda n: "".join("  " * depth + "- a\n" for depth in range(int(n**0.5))),
    "list items": lambda n: "- a\n" * (n // 4),
    "backticks": lambda n: "".join("`" * count + " " for count in range(1, int((2 * n) ** 0.5))),
    "stars": lambda n: "*a " * (n // 3),
    "less-than signs": lambda n: "<" * n,
    "tags that do not end": lambda n: "<a " * (n // 3),
    "open scripts": lambda n: "<script>" * (n // 8),
    "comments": lambda n: "<!--" * (n // 4),
    "table rows": lambda n: "|a|b|\n|-|-|\n" + "|x|y|\n" * (n // 6),
    "pipes": lambda n: ("|" * 100 + "\n") * (n // 101),
    "dollars": lambda n: "$a " * (n // 3),
    "open formulas": lambda n: "\\(a " * (n // 4),
    "open blocks of formulas": lambda n: "$$a\n" * (n // 4),
    "equals signs": lambda n: "a=" * (n // 2),
    "answers": lambda n: "answer is " * (n // 10) + " " * 1000,
    "quotation marks": lambda n: "\"'" * (n // 2),
    "definitions": lambda n: "[a]: b\n" * (n // 7),
    "nested elements": lambda n: "<div>" * (n // 5),
    "open formatting": lambda n: "".join(f"<b id={count}><p>" for count in range(n // 14)),
    "attributes": lambda n: "<a " + " ".join(f"a{count}" for count in range(n // 7)) + ">x",
    "entities": lambda n: "&amp;" * (n // 5),
    "a picture of letters": lambda n: '<img src="data:image/png;base64,' + "A" * n + '">',
    "joiners": lambda n: "a\u200d" * (n // 2),
    "zeros": lambda n: "0" * n,
    "numbers": lambda n: "1,000" * (n // 5),
    "Han": lambda n: "學" * n,
}

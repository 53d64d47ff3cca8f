"""Which files a review reads: a few, the most telling ones, or all, in parts that fit a model's window."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from functions.shared.llm.usage import estimated_tokens

File = Mapping[str, Any]

MAX_TREE_PATHS = 400
MAX_ENTRY_POINTS = 6
MAX_PARTS = 24
README = re.compile(r"readme(?:\.\w+)?", re.IGNORECASE)
ENTRY_POINT = re.compile(
    r"(?:__main__|main|app|index|server|cli|manage|wsgi|asgi|program|lib|mod|setup)\.\w+|dockerfile|makefile"
    r"|pyproject\.toml|package\.json|cargo\.toml|go\.mod",
    re.IGNORECASE,
)
TESTS = re.compile(r"(?:^|/)(?:tests?|specs?|__tests__)/|(?:^|/)test_[^/]+$|[._-](?:test|spec)s?\.\w+$", re.IGNORECASE)
SETTINGS = re.compile(r"\.(?:ya?ml|toml|ini|cfg|json|xml|env)$|(?:^|/)(?:dockerfile|makefile)$", re.IGNORECASE)


def has_readme(files: Sequence[File]) -> bool:
    """Whether the repository explains itself."""
    return any("/" not in file["path"] and README.fullmatch(file["path"]) for file in files)


def has_tests(files: Sequence[File]) -> bool:
    """Whether something looks like tests."""
    return any(file["language"] and TESTS.search(file["path"]) for file in files)


def tree(files: Sequence[File]) -> str:
    """The paths with their lines, those near the root first."""
    paths = sorted(files, key=lambda file: (file["path"].count("/"), file["path"]))
    shown = [f"{file['path']} ({file['lines']} lines)" for file in paths[:MAX_TREE_PATHS]]
    rest = len(paths) - len(shown)
    return "\n".join([*shown, *([f"and {rest} more files"] if rest else [])])


def ranked(files: Sequence[File], flagged: Mapping[str, int]) -> list[File]:
    """The most telling files first: README and entry points, then code by what linters say, its depth and its size.

    :param flagged: how many findings a path has from scanner and linter
    """

    def rank(file: File) -> tuple[Any, ...]:
        path = file["path"]
        name = PurePosixPath(path).name
        if has_readme([file]):
            kind = 0
        elif ENTRY_POINT.fullmatch(name) and path.count("/") <= 2 and not TESTS.search(path):
            kind = 1
        elif file["language"]:
            kind = 3 if TESTS.search(path) else 2
        else:
            kind = 4 if SETTINGS.search(path) else 5
        return kind, -min(flagged.get(path, 0), 3), path.count("/"), -min(file["lines"], 400), path

    return sorted((file for file in files if file["lines"]), key=rank)


def chosen(files: Sequence[File], depth: str, flagged: Mapping[str, int]) -> list[File]:
    """The files that a review of this depth may read, in the order in which they matter."""
    order = ranked(files, flagged)
    if depth == "quick":
        points = [file for file in order if ENTRY_POINT.fullmatch(PurePosixPath(file["path"]).name)]
        first = [file for file in order if has_readme([file])][:1]
        code = [file for file in order if file["language"]]
        picked = [*first, *(points or code)[:MAX_ENTRY_POINTS]]
        return list({file["path"]: file for file in picked}.values())
    if depth == "standard":
        return order
    # what is alike lies together, so that a part makes sense
    return sorted(order, key=lambda file: (not file["language"], str(PurePosixPath(file["path"]).parent), file["path"]))


def numbered(text: str) -> str:
    """A text with the numbers of its lines in front of them."""
    return "\n".join(f"{number}| {line}" for number, line in enumerate(text.removesuffix("\n").split("\n"), 1))


def parts(
    files: Sequence[File], read: Callable[[File], str], max_tokens: int, max_parts: int
) -> tuple[list[list[tuple[File, str]]], list[File]]:
    """Divides files into parts of at most so many tokens.

    :param read: the text that is shown of a file
    :return: the parts, and the files that fit nowhere: too long for a part, or beyond the last one
    """
    divided: list[list[tuple[File, str]]] = []
    left: list[File] = []
    room = 0
    for file in files:
        # four characters a token is an upper bound for the room of any text, so most of it is never read in vain
        if file["bytes"] > max_tokens * 8:
            left.append(file)
            continue
        text = read(file)
        tokens = estimated_tokens(text) + estimated_tokens(file["path"]) + 80
        if tokens > max_tokens:
            left.append(file)
            continue
        if tokens > room:
            if len(divided) == max_parts:
                left.append(file)
                continue
            divided.append([])
            room = max_tokens
        divided[-1].append((file, text))
        room -= tokens
    return divided, left

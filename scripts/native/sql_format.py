"""``./scripts/format``: lays out SQL and Python. ``./scripts/check`` compares.

sqruff lays out statements, but a function body is a string to it. There this module does what is mechanical: indents of
four columns, no tabs, no trailing space; the rest of a body's layout is its author's. It also wraps the text of
``comment on``. A result that differs from its source in more than white space and case is refused.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.native.paths import REPO, VENV_BIN

# supabase/migrations is made from sql/ and policies/, and a merged migration never changes again
HOMES = ("sql", "policies", "supabase/seed.sql", "scripts")
# rows of data may be wider
NARROW = ("sql", "policies")
MAX_COLUMNS = 120
INDENT_COLUMNS = 4
LITERAL = r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\""
TOKEN = re.compile(rf"{LITERAL}|\s+|[^\s'\"/-]+|[/-]", re.S)
DOLLAR_QUOTED = re.compile(r"(\$\w*\$)(.*?)(\1)", re.S)
COMMENT = re.compile(r"^(comment on [^;']* is)\s+('(?:[^']|''|'\s*\n\s*')*');$", re.M)
ADJACENT_STRINGS = re.compile(r"'\s*\n\s*'")


class FormatError(RuntimeError):
    """sqruff could not read a file, or would have changed more than its layout."""


def files() -> list[Path]:
    """Every SQL file whose layout is ours to keep."""
    homes = [REPO / home for home in HOMES]
    return sorted(file for home in homes for file in ([home] if home.is_file() else home.rglob("*.sql")))


def _squeezed(code: str, *, fold_case: bool) -> str:
    """The code without white space outside strings and comments, and there without upper case if ``fold_case``."""
    parts = []
    for token in TOKEN.findall(code):
        kept = re.match(LITERAL, token, re.S)
        parts.append(token if kept else token.strip().lower() if fold_case else token.strip())
    return "".join(parts)


def gist(text: str) -> str:
    """What layout must not change: all but white space, and but case outside strings, comments and bodies.

    Strings on adjacent lines count as the one string they are.
    """
    text = ADJACENT_STRINGS.sub("", text)
    parts = []
    end = 0
    for body in DOLLAR_QUOTED.finditer(text):
        parts += [_squeezed(text[end : body.start()], fold_case=True), _squeezed(body[0], fold_case=False)]
        end = body.end()
    return "".join([*parts, _squeezed(text[end:], fold_case=True)])


def tidy_body(body: str) -> str:
    """A body with indents of four columns; spaces inside a string stay, because they are data."""
    out = []
    for token in TOKEN.findall(body):
        if token.isspace() and "\n" in token:
            indent = len(token.expandtabs(INDENT_COLUMNS).rpartition("\n")[2])
            columns = -(-indent // INDENT_COLUMNS) * INDENT_COLUMNS
            out.append("\n" * token.count("\n") + " " * columns)
        else:
            out.append(token.replace("\t", " ") if token.isspace() else token)
    return "".join(out)


def wrap_comment(found: re.Match[str]) -> str:
    """A ``comment on`` in one line where it fits, else its text below it, as strings of a line each."""
    text = ADJACENT_STRINGS.sub("", found[2])
    if len(one_line := f"{found[1]} {text};") <= MAX_COLUMNS:
        return one_line
    width = MAX_COLUMNS - INDENT_COLUMNS - len("'';")
    lines = [""]
    for word in re.findall(r"\S+\s*|^\s+", text[1:-1]):
        if len(lines[-1]) + len(word) > width and lines[-1]:
            lines.append("")
        lines[-1] += word
    return f"{found[1]}\n" + "\n".join(f"    '{line}'" for line in lines) + ";"


def finish(text: str) -> str:
    """What sqruff leaves to us."""
    text = DOLLAR_QUOTED.sub(lambda found: found[1] + tidy_body(found[2]) + found[3], text)
    return COMMENT.sub(wrap_comment, text)


def formatted(paths: list[Path]) -> dict[Path, str]:
    """Each file's text as it should stand.

    :raise FormatError: a file cannot be parsed, or layout would change its meaning
    """
    with tempfile.TemporaryDirectory(prefix="headstart-format-") as folder:
        copies = {path: Path(folder) / path.relative_to(REPO) for path in paths}
        for path, copy in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(path.read_text())
        sqruff = [str(VENV_BIN / "sqruff"), "fix", "--config", str(REPO / ".sqruff"), "--parsing-errors", "--quiet"]
        done = subprocess.run([*sqruff, "--nocolor", "."], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FormatError(done.stdout + done.stderr)
        result = {path: finish(copy.read_text()) for path, copy in copies.items()}
    for path, text in result.items():
        if gist(text) != gist(path.read_text()):
            raise FormatError(f"{path.relative_to(REPO)}: layout would change more than white space and case\n")
    return result


def stale() -> str:
    """What ./scripts/format would change, and lines that are too wide, one a line; nothing when all is well."""
    try:
        result = formatted(files())
    except FormatError as error:
        return str(error)
    problems = []
    for path, text in result.items():
        name = path.relative_to(REPO)
        if text != path.read_text():
            problems.append(f"{name}: run ./scripts/format\n")
        for number, line in enumerate(text.splitlines(), 1):
            if name.parts[0] in NARROW and len(line) > MAX_COLUMNS:
                problems.append(f"{name}:{number}: wider than {MAX_COLUMNS} columns\n")
    return "".join(problems)


def main() -> int:
    """Writes the files that differ and names them."""
    try:
        result = formatted(files())
    except FormatError as error:
        print(error, file=sys.stderr)
        return 1
    for path, text in result.items():
        if text != path.read_text():
            path.write_text(text)
            print(f"wrote {path.relative_to(REPO)}")
    return subprocess.run([str(VENV_BIN / "ruff"), "format", "--quiet", "."], cwd=REPO, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

"""The checkable rules of our prose (CONTRIBUTING, "Words"), over SQL, Python, shell and pages."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import pytest

from scripts.native.paths import REPO

KINDS = {".sql", ".py", ".md", ".sh", ".txt", ".toml", ".yml", ".html", ""}
# made by tools, this list itself, or words of other languages
EXCLUDED = (
    "supabase/migrations/",
    "tests/database/guards/test_prose.py",
    "tests/contract/auth/",
    "functions/shared/leaks/words/",
    "tests/functions/shared_leaks/cases/",
)


@dataclass(frozen=True)
class Rule:
    """What no line may say; ``where`` limits it to paths, ``said`` breaks it and ``fine`` does not."""

    name: str
    pattern: str
    said: tuple[str, ...]
    fine: tuple[str, ...]
    where: str = ""

    def breaches(self, text: str) -> Iterator[tuple[int, str]]:
        """The numbers and texts of the lines that break the rule."""
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(self.pattern, line):
                yield number, line.strip()


RULES = [
    Rule(
        "people are they, never he or she",
        # all capitals are the code of a course
        r"\b(?:[Hh]e|[Hh]im|[Hh]is|[Hh]imself|[Ss]he|[Hh]ers?|[Hh]erself)\b(?!\()",
        ("A student sees his own weeks.", "-- She signs in", "or himself"),
        ("The theme of this chapter is there.", "they see their own weeks", "HIS 110"),
    ),
    Rule(
        "what matters stands in this repository; nothing points outside it",
        r"\b(?:canvas|ai|supabase|lti_and_auth|jobs_billing_notify|native_stack|tutoring|storage) facts\b"
        r"|\(facts \d|\bfacts on [A-Z]|\bschema[ _]map\b|\bhttp_contract\b|\brpc_contract\b|\.\./shared\b"
        r"|\b(?:contract|decision) sheet\b|\bseed S\d|\bissue \d+\b",
        ("as it is (canvas facts 9)", "rpc_contract 'Jobs'", "the schema map says", "see issue 10", "(facts 8, 9)"),
        ("Facts about the source.", "docs/canvas.md says", "issues of learning"),
    ),
    Rule(
        "a bound is named MAX_ or MIN_, with its unit",
        r"^\s*_?(?:[A-Z0-9_]*(?:LONGEST|SHORTEST|LARGEST|SMALLEST|BIGGEST|DEEPEST|OLDEST|PATIENCE)[A-Z0-9_]*"
        r"|(?:[A-Z0-9_]+_)?(?:MOST|LEAST)(?:_[A-Z0-9_]+)?|[A-Z0-9_]+_LIMIT|TRIES)(?:: [^=]+)? = [-\d(]",
        ("MOST_BYTES = 64", "CLAIM_LIMIT = 100", "_LONGEST_HTML: int = 5", "TRIES = 3", "OLDEST = (3, 11)"),
        ("MAX_BODY_BYTES = 64", "TIME_LIMIT_NOTE = 'x'", "ALMOST_EMPTY = 3"),
        where=r"\.py$",
    ),
    Rule(
        "an attempt is not a try",
        r"(?i)\b(?:a|the|each|every|another|first|second|last|next|no|one|two|per|between|ends?|of) tr(?:y|ies)\b"
        r"(?! (?:to|again|and|block|statement))",
        ("the last try failed", "Ends tries whose lease ran out", "between two tries"),
        ("it tries again", "try to read", "the next try block", "tried once"),
    ),
    Rule(
        "a job has a slot, not a place",
        r"(?i)(?<!\bin )(?<!\btakes )(?<!\btake )(?<!\bin its )(?<!\bin their )(?<!\bfor )\bplaces?\b(?! in the line)",
        ("its owner has no free place", "the places of live jobs"),
        ("it happens in place", "replaced", "its place in the line"),
        where=r"90_platform/(?:test_)?job|functions/worker/|shared/jobs|docs/operations",
    ),
    Rule(
        "a person has a profile, not a card",
        r"(?i)\b(?<!credit )(?<!payment )(?<!fsrs\.)cards?\b",
        ("Own card", "whose card they see"),
        ("a credit card", "discard", "fsrs.Card()"),
    ),
    Rule("what costs much is expensive, not dear", r"(?i)\bdear(?:er|est)?\b", ("it looks dear",), ("endeared",)),
    Rule(
        "people see rows; rows are not in reach and policies have no sets",
        r"(?i)\b(?:in|within) reach\b|\breach of\b|\bsets of (?:the )?(?:select )?polic",
        ("views in reach of clients", "the sets of the select policy are empty"),
        ("which cannot be reached", "insets of the page"),
    ),
]

# Not yet rewritten, by the beginning of the path. This list only gets shorter.
NOT_YET: tuple[str, ...] = ()

# The error of an argument: its message, up to the SQLSTATE.
ARGUMENT_ERROR = re.compile(r"raise exception\s+'((?:[^']|'')*)'[^;]*?errcode = '(?:22003|22004|22023)'", re.S)


def prose() -> list[str]:
    """Every file under version control that people read, by its path in the repository."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [path for path in listed if PurePosixPath(path).suffix in KINDS and not path.startswith(EXCLUDED)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_line_breaks_the_rule(rule: Rule) -> None:
    found = [
        f"{path}:{number}: {line[:140]}"
        for path in prose()
        if not path.startswith(NOT_YET) and re.search(rule.where, path) and (REPO / path).is_file()
        for number, line in rule.breaches((REPO / path).read_text())
    ]
    assert found == []


def nameless(text: str) -> list[str]:
    """Messages of argument errors that name no parameter or column; ``%`` stands for a name that is put in."""
    return [message for message in ARGUMENT_ERROR.findall(text) if not re.search(r"\bp_[a-z]|^%|^cron: ", message)]


def test_an_argument_error_names_the_parameter() -> None:
    found = {
        path: nameless((REPO / path).read_text())
        for path in prose()
        if path.startswith("sql/")
        and path.endswith(".sql")
        and not path.startswith(NOT_YET)
        and (REPO / path).is_file()
    }
    assert {path: messages for path, messages in found.items() if messages} == {}


def test_a_nameless_argument_error_is_found() -> None:
    said = "raise exception 'how many?'\n    using hint = 'x', errcode = '22004';"
    assert nameless(said) == ["how many?"]
    assert nameless(said.replace("how many?", "p_limit must not be null")) == []
    assert (
        nameless("raise exception 'gone' using errcode = 'PT404'; raise exception 'p_a' using errcode = '22004';") == []
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_rule_tells_what_breaks_it(rule: Rule) -> None:
    for line in rule.said:
        assert list(rule.breaches(line)) == [(1, line)]
    for line in rule.fine:
        assert list(rule.breaches(line)) == [], line

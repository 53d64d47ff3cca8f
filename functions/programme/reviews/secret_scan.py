"""Finds keys and passwords in texts, and masks them. No model takes part, and none ever sees them.

Two kinds are found: keys whose form is known, and values that look random or like a password where something is named
after a secret. Every pattern is linear in the length of the text.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

# no repository holds this by chance, and nobody can take it for a value
MASK = "\u2039masked secret\u203a"
ELLIPSIS = "\u2026"
MAX_QUOTED_CHARACTERS = 4
MAX_LINE_CHARACTERS = 20_000
MIN_VALUE_CHARACTERS = 8
MIN_KEY_CHARACTERS = 16
MIN_KEY_BITS = 3.2
MIN_PASSWORD_BITS = 2.3

SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("AWS access key", r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
        ("GitHub token", r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{22,255})"),
        ("GitLab token", r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,100}"),
        ("Slack token", r"(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{10,200}"),
        ("Slack webhook", r"hooks\.slack\.com/services/[A-Za-z0-9/]{20,100}"),
        ("Stripe key", r"(?<![A-Za-z0-9])[sr]k_live_[A-Za-z0-9]{16,200}"),
        ("Stripe webhook secret", r"(?<![A-Za-z0-9])whsec_[A-Za-z0-9+/=]{24,200}"),
        ("API key of a model", r"(?<![A-Za-z0-9])sk-(?=[A-Za-z_-]{0,199}[0-9])[A-Za-z0-9_-]{20,200}"),
        ("Google API key", r"(?<![A-Za-z0-9])AIza[0-9A-Za-z_-]{35}"),
        ("npm token", r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
        ("PyPI token", r"(?<![A-Za-z0-9])pypi-[A-Za-z0-9_-]{16,500}"),
        ("SendGrid key", r"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,100}"),
        ("Supabase secret key", r"(?<![A-Za-z0-9])sb_secret_[A-Za-z0-9_-]{20,100}"),
        (
            "JSON Web Token",
            r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,1000}",
        ),
    )
)
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
PRIVATE_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
MAX_PRIVATE_KEY_CHARACTERS = 20_000
PASSWORD_IN_URL = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://(?P<user>[^\s:/@'\"<>]{0,100}):(?P<value>[^\s/@'\"<>]{3,200})@"
)
WORDS = r"secret|token|passwd|password|passphrase|pwd|api_?-?key|access_?-?key|private_?-?key|auth_?-?key|credential"
NAMED = re.compile(
    rf"(?P<name>[\w.-]{{0,60}}?(?:{WORDS})[\w-]{{0,40}})[\"'`\]]{{0,2}}"
    # a type stands between in some languages
    r"(?:\s{0,4}[?!]?:\s{0,4}[A-Za-z_][\w.<>\[\]| ]{0,60}?\s{0,4}(?==))?"
    r"\s{0,8}(?::=|=>|=|:)\s{0,8}"
    r"(?:[bBrRuU]{0,2}(?P<mark>[\"'`])(?P<quoted>[^\"'`\n]{8,300})(?P=mark)|(?P<bare>[^\s\"'`,;#(){}\[\]<>]{8,300})(?=\s|$))",
    re.IGNORECASE,
)
IS_PASSWORD = re.compile(r"pass|pwd", re.IGNORECASE)
# settings files assign without quotation marks; in code, what stands bare is a name or a call
BARE_SUFFIXES = (".env", ".ini", ".cfg", ".conf", ".properties", ".yml", ".yaml", ".toml", ".sh", ".txt", ".tfvars")
PLACEHOLDER = re.compile(
    r"example|change.?me|your|placeholder|dummy|sample|insert|todo|redacted|xxxx|\*{3}|\.\.\.|<|>|\$\{|\{\{|%\(|env[.(\[]"
    r"|environ|getenv|lorem|fake|mock|not.?a.?real|hunter2|^(?:test|null|none|true|false|undefined|localhost)",
    re.IGNORECASE,
)


class Found(NamedTuple):
    """A secret. ``quote`` shows at most four characters of it; ``value`` must not leave this process."""

    rule: str
    line_start: int
    line_end: int
    quote: str
    value: str


def scan(path: str, text: str) -> tuple[list[Found], str]:
    """The secrets of a text in their order, and the text with each of them masked. Lines stay where they are."""
    spans: list[tuple[int, int, str]] = [*_private_keys(text)]
    for rule, pattern in SHAPES:
        spans += [(match.start(), match.end(), rule) for match in pattern.finditer(text)]
    name = path.rpartition("/")[2].lower()
    has_bare = name.endswith(BARE_SUFFIXES) or name.startswith(".env") or name in ("dockerfile", "procfile")
    start = 0
    for line in text.split("\n"):
        if len(line) <= MAX_LINE_CHARACTERS:
            spans += [(start + first, start + last, rule) for first, last, rule in _named(line, has_bare)]
        start += len(line) + 1
    return _found(text, spans)


def _private_keys(text: str) -> Iterable[tuple[int, int, str]]:
    at = 0
    while (begin := PRIVATE_KEY.search(text, at)) is not None:
        end = PRIVATE_KEY_END.search(text, begin.end(), begin.end() + MAX_PRIVATE_KEY_CHARACTERS)
        # without an end, whatever looks like the rest of a key
        last = end.end() if end else min(len(text), begin.end() + MAX_PRIVATE_KEY_CHARACTERS)
        # the mark alone, as in code that reads keys, is no key
        if last - begin.end() > 100:
            yield begin.start(), last, "Private key"
            at = last
        else:
            at = begin.end()


def _named(line: str, has_bare: bool) -> Iterable[tuple[int, int, str]]:
    """Passwords in addresses, and values of what is named after a secret."""
    for match in PASSWORD_IN_URL.finditer(line):
        value = match["value"]
        if value != match["user"] and not PLACEHOLDER.search(value) and entropy(value) >= 2.0:
            yield *match.span("value"), "Password in an address"
    for match in NAMED.finditer(line):
        group = "quoted" if match["quoted"] else "bare"
        if group == "bare" and not has_bare:
            continue
        value = match[group]
        if PLACEHOLDER.search(value) or " " in value.strip():
            continue
        if IS_PASSWORD.search(match["name"]):
            is_secret = entropy(value) >= MIN_PASSWORD_BITS and not value.isalpha()
        else:
            is_secret = is_random(value)
        if is_secret:
            yield *match.span(group), "Password" if IS_PASSWORD.search(match["name"]) else "Secret value"


def _found(text: str, spans: list[tuple[int, int, str]]) -> tuple[list[Found], str]:
    """The spans without overlaps, and the text with them masked."""
    found: list[Found] = []
    parts: list[str] = []
    end = line = 0
    for first, last, rule in sorted(spans, key=lambda span: (span[0], -span[1])):
        if first < end:
            continue
        between, value = text[end:first], text[first:last]
        parts += [between, "\n".join(MASK for _ in value.split("\n"))]
        line += between.count("\n")
        found.append(Found(rule, line + 1, line + 1 + value.count("\n"), quoted(value), value))
        line += value.count("\n")
        end = last
    return found, "".join([*parts, text[end:]])


def quoted(value: str) -> str:
    """The beginning of a secret: at most four characters, and never more than a quarter of it."""
    return value[: min(MAX_QUOTED_CHARACTERS, len(value) // 4)].strip() + ELLIPSIS


def mask_values(text: str, values: Iterable[str]) -> str:
    """Masks these secrets wherever they stand, also where nothing shows that they are secrets."""
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= MIN_VALUE_CHARACTERS and value in text:
            text = text.replace(value, "\n".join(MASK for _ in value.split("\n")))
    return text


def entropy(text: str) -> float:
    """Bits for each character, by how often the characters occur in the text itself."""
    counts = Counter(text)
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts.values())


def is_random(value: str) -> bool:
    """Whether a value looks made by a generator rather than by a person who names things."""
    return (
        len(value) >= MIN_KEY_CHARACTERS
        and any(character.isdigit() for character in value)
        and any(character.isalpha() for character in value)
        and not re.fullmatch(r"(?:[a-z]+[_.:/-])*[a-z]+\d{0,2}", value, re.IGNORECASE)
        and entropy(value) >= MIN_KEY_BITS
    )

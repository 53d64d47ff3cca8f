"""What is kept of a model's findings, which files it reads, and how a review is scored. Pure functions."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from functions.programme.reviews import rubric, selection
from functions.programme.reviews.findings import Finding, verified, verify
from functions.programme.reviews.secret_scan import MASK
from functions.programme.reviews.shapes import CodeReview, Said
from functions.shared.llm.usage import estimated_tokens

WORDS = ["total", "index", "value", "result", "item", "buffer", "count", "entry", "record", "name", "path", "state"]


def said(**changes: Any) -> Said:
    """A finding as a model states it."""
    given = {"severity": "high", "category": "bug", "file": "a.py", "line_start": 1, "line_end": 1, "quote": ""}
    return Said.model_validate({**given, "message": "It breaks.", "suggestion": "Mend it.", **changes})


def code(random_: random.Random, number: int) -> str:
    """A file whose lines repeat now and then, as those of real code do."""
    lines = []
    for line in range(random_.randint(20, 120)):
        one, other = random_.sample(WORDS, 2)
        unique = f"{one}_{number}_{line} = {other}(self.{one}[{line}])"
        lines.append(random_.choice(["    return None", "    pass", f"    {unique}", unique, "", f"# about {other}"]))
    return "\n".join(lines) + "\n"


def real(random_: random.Random, files: Mapping[str, str]) -> tuple[Said, tuple[str, int]]:
    """A true finding as models state them: exact, off by some lines, with other blanks, or with the lines' numbers."""
    while True:
        path = random_.choice(sorted(files))
        lines = files[path].split("\n")
        first = random_.randrange(len(lines) - 2)
        length = random_.randint(1, 3)
        quote = "\n".join(lines[first : first + length])
        if " = " not in quote or not lines[first].strip() or not lines[first + length - 1].strip():
            # only such a line stands there once
            continue
        start, end = first + 1, first + length
        match random_.randrange(5):
            case 0:
                pass
            case 1:
                start, end = start + random_.randint(1, 40), end + random_.randint(41, 900)
            case 2:
                quote = "  ".join(quote.split())
            case 3:
                quote = "\n".join(f"{first + 1 + n}| {line}" for n, line in enumerate(quote.split("\n")))
            case 4:
                start, end = 0, -3
        return said(file=path, line_start=start, line_end=end, quote=quote), (path, first + 1)


def invented(random_: random.Random, files: Mapping[str, str]) -> Said:
    """A finding about nothing."""
    path = random_.choice(sorted(files))
    lines = files[path].split("\n")
    at = random_.randrange(len(lines) - 1)
    unique = next(line for line in random_.sample(lines, len(lines)) if " = " in line).strip()
    choices: list[dict[str, Any]] = [
        {"file": f"src/{path}", "quote": unique},
        {"file": "nowhere.py", "quote": "import os"},
        {"quote": f"{random_.choice(WORDS)}_{random_.randint(10**6, 10**7)} = eval(request.body)"},
        {"quote": unique.replace("self", "cls")},
        {"quote": unique[: len(unique) // 2] + " + " + unique[len(unique) // 2 :]},
        # half a name
        {"quote": unique[1 : unique.index(" ")][:-1]},
        # it stands at many places, and at none of those that are named
        {"quote": "return None", "line_start": len(lines) + 5, "line_end": len(lines) + 9},
        {"quote": "pass", "line_start": -4, "line_end": 0},
        {"quote": "}"},
        {"quote": "   \n  "},
        {"quote": MASK},
    ]
    given = {"file": path, "line_start": at + 1, "line_end": at + 1, **random_.choice(choices)}
    if given["quote"] in ("return None", "pass") and files[path].count(given["quote"]) == 1:
        # then it would be a true one with wrong lines
        return invented(random_, files)
    return said(**given)


def test_of_fifty_reviews_every_invented_finding_goes_and_every_real_one_stays() -> None:
    dropped_in_all = kept_in_all = 0
    for seed in range(50):
        random_ = random.Random(seed)
        files = {f"pkg/m{number}.py": code(random_, number) for number in range(6)}
        true = {place: finding for finding, place in (real(random_, files) for _ in range(12))}
        false = [invented(random_, files) for _ in range(12)]
        mixed = [*true.values(), *false]
        random_.shuffle(mixed)
        kept, dropped = verified(mixed, files.get)
        assert {(one["file"], one["line_start"]) for one in kept} == set(true), seed
        assert dropped == len(false), seed
        for one in kept:
            # what is stored can be looked up: the quote stands at these lines, letter by letter
            lines = files[one["file"]].split("\n")[one["line_start"] - 1 : one["line_end"]]
            assert one["quote"] in "\n".join(lines)
        dropped_in_all, kept_in_all = dropped_in_all + dropped, kept_in_all + len(kept)
    assert dropped_in_all == 600
    assert kept_in_all > 500


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"line_start": 2, "line_end": 2}, (2, 2)),
        ({"line_start": 1, "line_end": 4}, (1, 4)),
        ({"line_start": 4, "line_end": 4}, (2, 2)),
        ({"line_start": 2, "line_end": 99}, (2, 2)),
        ({"line_start": 3, "line_end": 1}, (2, 2)),
        ({"quote": "same()", "line_start": 3, "line_end": 3}, (3, 3)),
        ({"quote": "same()", "line_start": 1, "line_end": 1}, None),
        ({"quote": "once = read(path)\nsame()"}, (2, 3)),
        ({"file": "./a.py"}, (2, 2)),
        ({"file": "A.py"}, None),
        ({"message": " "}, None),
        ({"quote": "read(path)x"}, None),
        ({"quote": "ead(path)"}, None),
    ],
)
def test_lines_are_put_right_only_where_the_quote_leaves_no_doubt(
    changes: dict[str, Any], lines: tuple[int, int] | None
) -> None:
    files = {"a.py": "import x\nonce = read(path)\nsame()\nsame()\n"}
    found = verify(said(**{"quote": "once = read(path)", "line_start": 2, "line_end": 2, **changes}), files.get)
    assert (found and (found["line_start"], found["line_end"])) == lines


def test_what_a_model_says_is_data() -> None:
    hostile = "<script>alert(1)</script>![x](https://evil.test/p)\x00 [click](https://evil.test) \u202e"
    found = verify(
        said(quote="once = read(path)", message=f"Bad. {hostile}", suggestion=hostile),
        {"a.py": "once = read(path)\n"}.get,
    )
    assert found is not None
    shown = found["message"] + found["suggestion"]
    assert "Bad." in shown
    assert not any(word in shown for word in ("<script", "evil.test", "\x00", "\u202e"))


def test_odd_words_of_a_model_do_not_cost_its_answer() -> None:
    finding = {"file": "a", "line_start": "3", "line_end": 4, "quote": "x", "message": "m", "suggestion": "s"}
    odd = [{**finding, "severity": "Blocker", "category": "secret"}, {**finding, "severity": "?", "category": "lint"}]
    answer = CodeReview.model_validate({"findings": odd, "good_practices": [], "improvements": [], "summary": "s"})
    assert [(one.severity, one.category) for one in answer.findings] == [("critical", "security"), ("info", "style")]


def graded(**counts: int) -> list[Finding]:
    """So many findings of ``<severity>_<category>``."""
    found: list[Any] = []
    for name, count in counts.items():
        severity, _, category = name.partition("_")
        found += [{"severity": severity, "category": category}] * count
    return found


def test_the_score_follows_the_rubric() -> None:
    whole = {"has_readme": True, "has_tests": True}
    assert rubric.score([], **whole) == 100
    assert rubric.score([], has_readme=False, has_tests=False) == 85
    assert rubric.score(graded(critical_secret=1, high_bug=1, medium_bug=1, low_style=3, info_bug=9), **whole) == 70
    # a hundred remarks on style weigh less than two holes
    assert rubric.score(graded(medium_style=100), **whole) == 90
    assert rubric.score(graded(critical_security=2), **whole) == 70
    assert rubric.score(graded(critical_security=9, critical_bug=9, critical_secret=9), **whole) == 0


def file(path: str, lines: int = 10, language: str | None = "Python") -> dict[str, Any]:
    """A file as the archive's reader describes it."""
    return {"path": path, "lines": lines, "bytes": lines * 20, "language": language, "name": path}


FILES = [
    file("docs/notes.md", language=None),
    file("README.md", language=None),
    file("src/deep/inner/util.py"),
    file("src/app.py"),
    file("src/model.py"),
    file("tests/test_model.py"),
    file("empty.py", 0),
]


def test_files_are_chosen_by_depth() -> None:
    def paths(depth: str, **flagged: int) -> list[str]:
        return [one["path"] for one in selection.chosen(FILES, depth, {f"src/{k}.py": v for k, v in flagged.items()})]

    assert paths("quick") == ["README.md", "src/app.py"]
    standard = [
        "README.md",
        "src/app.py",
        "src/model.py",
        "src/deep/inner/util.py",
        "tests/test_model.py",
        "docs/notes.md",
    ]
    assert paths("standard") == standard
    assert paths("standard", **{"deep/inner/util": 2})[2] == "src/deep/inner/util.py"
    assert sorted(paths("deep")) == sorted(standard)
    assert selection.has_readme(FILES)
    assert not selection.has_readme(FILES[:1])
    assert selection.has_tests(FILES)
    assert not selection.has_tests(FILES[:5])


def test_parts_fit_and_nothing_is_lost() -> None:
    files = [file(f"m{number}.py", number) for number in range(1, 60)]
    text = "value = compute(entry)\n"
    parts, left = selection.parts(files, lambda one: text * one["lines"], 600, 4)
    assert len(parts) == 4
    paths = [one["path"] for part in parts for one, _ in part] + [one["path"] for one in left]
    assert sorted(paths) == sorted(one["path"] for one in files)
    for part in parts:
        assert sum(estimated_tokens(shown) for _, shown in part) <= 600
    assert selection.numbered("a\n\nb\n") == "1| a\n2| \n3| b"

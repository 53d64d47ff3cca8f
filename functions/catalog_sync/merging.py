"""Sections of several terms become courses. The same sections in any order give the same courses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from functions.catalog_sync.reading import Section

MAX_CODE_CHARACTERS = 50
MAX_TITLE_CHARACTERS = 500
MAX_INSTRUCTORS_CHARACTERS = 500
MAX_TEXT_CHARACTERS = 200


@dataclass(frozen=True)
class Skipped:
    """What of the list was not taken over. ``text`` is the code, else the title, shortened."""

    text: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """For the report."""
        return {"text": self.text[:MAX_TEXT_CHARACTERS], "reason": self.reason}


@dataclass
class Merged:
    """The courses, what was skipped, and the codes that are listed without a title that can be used."""

    courses: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    untitled: list[str] = field(default_factory=list)


def merge(sections: Sequence[Section], codes: Mapping[str, str]) -> Merged:
    """One course for each code: the first title in sort order, and all instructors, sorted.

    :param codes: the database's spelling of every section's code
    """
    merged = Merged()
    by_code: dict[str, list[Section]] = {}
    for section in sections:
        code = codes[section.code]
        if not code:
            merged.skipped.append(Skipped(section.title or "a course without code and title", "code_missing"))
        elif len(code) > MAX_CODE_CHARACTERS:
            merged.skipped.append(Skipped(section.code, "code_too_long"))
        else:
            by_code.setdefault(code, []).append(section)
    for code, group in by_code.items():
        titles = sorted({section.title for section in group if section.title})
        usable = [title for title in titles if len(title) <= MAX_TITLE_CHARACTERS]
        if not usable:
            merged.untitled.append(code)
            merged.skipped.append(Skipped(code, "title_too_long" if titles else "title_missing"))
            continue
        names = sorted({name.strip() for section in group for name in section.instructors.split(";")} - {""})
        instructor, is_cut = _joined(names)
        if is_cut:
            merged.skipped.append(Skipped(code, "instructors_too_long"))
        merged.courses.append({"code": code, "title": usable[0], "instructor": instructor})
    merged.courses.sort(key=lambda course: str(course["code"]))
    merged.skipped.sort(key=lambda skipped: (skipped.reason, skipped.text))
    merged.untitled.sort()
    return merged


def _joined(names: Sequence[str]) -> tuple[str | None, bool]:
    """The names that fit, whole, and whether some did not."""
    kept: list[str] = []
    for name in names:
        if len("; ".join([*kept, name])) <= MAX_INSTRUCTORS_CHARACTERS:
            kept.append(name)
    return "; ".join(kept) or None, len(kept) < len(names)

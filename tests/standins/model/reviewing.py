"""Reviews of code: true findings about lines that look odd, and one about a file that does not exist."""

from __future__ import annotations

import re
from typing import Any

FILE = re.compile(r"File: (.+)\n((?:.*\n?)+)")
NUMBERED = re.compile(r"(\d+)\| (.*)")
ODD = (
    ("eval(", "critical", "security", "`eval` runs whatever stands in the data.", "Compare the values themselves."),
    ("={}", "medium", "bug", "The default is one object for all calls.", "Use None, and make a new one inside."),
    ("json.load(open(", "low", "bug", "The file is never closed.", "Use a `with` block."),
    ("except:", "medium", "bug", "It hides every error.", "Name the errors that you expect."),
)
MAX_FINDINGS = 3
INVENTED = {
    "severity": "critical",
    "category": "security",
    "file": "src/server.py",
    "line_start": 1,
    "line_end": 1,
    "quote": "app.run(debug=True)",
    "message": "The stand-in invents this one, to be thrown away.",
    "suggestion": "None.",
}


def asks_for_review(system: str) -> bool:
    """Whether a request is one for a code review."""
    return system.startswith("You review code")


def write(task: str, blocks: dict[str, str]) -> dict[str, Any]:
    """A review of the files of a request, or what several reviews come to."""
    practices = {
        "good_practices": ["The parts are small."],
        "improvements": ["Learn what running data as code means."],
    }
    files = [match for name, text in blocks.items() if name.startswith("file_") and (match := FILE.match(text))]
    names = ", ".join(match[1] for match in files) or f"{sum(name.startswith('part_') for name in blocks)} parts"
    summary = f"This was written by the scripted stand-in for a language model. It read {names}."
    if '"findings"' not in task:
        return {**practices, "summary": summary}
    found = [finding for match in files for finding in findings(match[1], match[2])]
    return {"findings": [*found[:MAX_FINDINGS], INVENTED], **practices, "summary": summary}


def findings(path: str, text: str) -> list[dict[str, Any]]:
    """What looks odd in a file, with lines that are off by some, as those of models are."""
    found = []
    for number, line in NUMBERED.findall(text):
        for mark, severity, category, message, suggestion in ODD:
            if mark in line:
                place = {"file": path, "line_start": int(number) + 2, "line_end": int(number) + 2}
                said = {"severity": severity, "category": category, "message": message, "suggestion": suggestion}
                found.append({**said, **place, "quote": line.strip()})
    return found

"""A chapter of ``./scripts/demo``: a Socratic session of three turns, and what the learner found out."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Protocol

from supabase import Client

TOPIC = "Why plants need light"
LINES = (
    "I want to understand why plants need light.",
    "I know that leaves turn towards the window, so the light must be useful to them.",
    "Please just tell me the answer.",
)

Say = Callable[[str], None]


class Learner(Protocol):
    """The demo's person, as far as this chapter needs them."""

    rows: Client

    def call(self, method: str, path: str, expect: int, **more: Any) -> Any: ...

    def select(self, table: str, columns: str = "*", **equals: str) -> list[dict[str, Any]]: ...


def talk(learner: Learner, headline: Say, line: Say) -> None:
    """Opens a session in the learner's week, says three lines, ends it and shows the insights."""
    headline(f"They talk with the Socratic agent: {TOPIC}")
    row = {"week_id": learner.select("weeks", "id")[0]["id"], "topic": TOPIC}
    session: Any = learner.rows.table("socratic_sessions").insert(row).execute().data[0]
    for said in LINES:
        body = {"content": said, "external_id": uuid.uuid4().hex}
        path = f"socratic/sessions/{session['id']}/messages"
        pair = learner.call("POST", path, 200, json=body, headers={"Accept": "application/json"})
        line(f"learner: {said}")
        line(f"agent:   {pair['assistant_message']['content']}")
    ended = learner.call("POST", f"socratic/sessions/{session['id']}/end", 200)
    line(f"{ended['total_questions']} questions; what they found out:")
    for insight in ended["session_metadata"]["insights"]:
        line(f'- {insight["text"]} ("{insight["quote"]}")')

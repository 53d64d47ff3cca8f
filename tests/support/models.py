"""What a process remembers of models' servers, in tests."""

from __future__ import annotations

from functions.shared.llm import breaker, client, structured


def forget_servers() -> None:
    """Forgets what was learned about all servers, because a stand-in is another server in each test."""
    breaker.forget()
    structured._rungs.clear()
    client._refused_options.clear()
    client._swallows_marks.clear()

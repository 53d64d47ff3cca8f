"""What the stand-in can be told to do, by the model's name (``standin-<behaviour>``) or through its control endpoint.

Statuses and bodies are those of real servers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def problem(message: str, code: str | None, kind: str = "invalid_request_error", param: str | None = None) -> Any:
    """An error body as OpenAI sends it."""
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


@dataclass(frozen=True)
class Behaviour:
    """How one call is answered; the defaults are a good answer."""

    status: int = 200
    body: Any = None  # instead of a completion
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None  # instead of the written answer
    content_md: str | None = None  # instead of the headstart's text
    before: str = ""  # put before the answer
    refusal: str | None = None
    finish_reason: str | None = "stop"
    cut: float | None = None  # send only this share of the answer
    end: str = "done"  # done, eof (no [DONE]), reset, hang, error (an error event)
    hang_first: bool = False  # not even headers
    comments: bool = False  # comment lines instead of text, for ever
    pause_seconds: float = 0.0  # between chunks
    usage: bool = True
    unsupported: tuple[str, ...] = ()  # response formats that are refused


ESSAY = (
    "The French Revolution transformed European society because it destroyed the legal foundations of privilege and "
    "replaced them with the idea of citizenship. In this essay I will argue that the fiscal crisis of the monarchy, "
    "the rise of an articulate middle class and the failure of the harvests together made compromise impossible. The "
    "monarchy had borrowed heavily to finance its wars, and by the spring of the decisive year interest alone consumed "
    "half of all revenue. When the assembly of notables refused new taxes, the king had no choice but to summon the "
    "estates, and with them came the pamphlets, the grievances and the expectations of a whole nation. In conclusion, "
    "the revolution was neither an accident nor a conspiracy but the consequence of a state that could not reform."
)
FUNCTION = (
    "Start like this:\n\n```python\ndef fibonacci(n):\n    if n < 2:\n        return n\n    a, b = 0, 1\n"
    "    for _ in range(n - 1):\n        a, b = b, a + b\n    return b\n```\n\nThen hand it in.\n"
)
INJECTION = (
    "# Plan\n\n<script>alert(document.cookie)</script>\n\n<img src=x onerror=alert(1)> "
    "![pixel](https://evil.test/p.png) [click](javascript:alert(1)) [here](https://evil.test/login?next=1) <https://evil.test/auto>\n\n"
    '<a href="https://evil.test/" onclick="steal()">free marks</a>\n\nRead the task first.\n'
)

BEHAVIOURS: dict[str, Behaviour] = {
    "scripted": Behaviour(),
    "normal": Behaviour(),
    "slow": Behaviour(pause_seconds=0.05),
    "no-usage": Behaviour(usage=False),
    "429": Behaviour(429, problem("Rate limit reached", "rate_limit_exceeded", "requests"), {"Retry-After": "1"}),
    "429-long": Behaviour(
        429, problem("Rate limit reached", "rate_limit_exceeded", "requests"), {"Retry-After": "300"}
    ),
    "quota": Behaviour(429, problem("You exceeded your current quota", "insufficient_quota", "insufficient_quota")),
    "401": Behaviour(401, problem("Incorrect API key provided", "invalid_api_key")),
    "404": Behaviour(404, problem("The model does not exist", "model_not_found")),
    "context": Behaviour(
        400, problem("maximum context length is 8192 tokens", "context_length_exceeded", param="messages")
    ),
    "context-flat": Behaviour(
        400, {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400}
    ),
    "filter-400": Behaviour(400, problem("The response was filtered", "content_filter")),
    "filter": Behaviour(finish_reason="content_filter", cut=0.3),
    "refusal": Behaviour(text="", refusal="I cannot help with that."),
    "length": Behaviour(finish_reason="length", cut=0.6),
    "length-early": Behaviour(finish_reason="length", cut=0.03),
    "invalid-json": Behaviour(text="Sure! Here is a plan: read it, then write it."),
    "wrong-schema": Behaviour(text='{"plan": "none", "minutes": "15 min"}'),
    "fenced": Behaviour(before="<think>hm { maybe</think>Here you are:\n```json\n"),
    "eof": Behaviour(cut=0.6, end="eof"),
    "eof-early": Behaviour(cut=0.02, end="eof"),
    "eof-whole": Behaviour(end="eof", finish_reason=None),
    "reset": Behaviour(cut=0.6, end="reset"),
    "hang": Behaviour(hang_first=True),
    "stall": Behaviour(cut=0.4, end="hang"),
    "trickle": Behaviour(comments=True),
    "error-event": Behaviour(cut=0.5, end="error"),
    "500": Behaviour(500, problem("The server had an error", None, "server_error")),
    "503-html": Behaviour(503, "<html><body>Service Unavailable</body></html>"),
    "200-html": Behaviour(200, "<html><body>Welcome to the portal</body></html>"),
    "200-error": Behaviour(200, problem("overloaded", "overloaded", "server_error")),
    "no-schema": Behaviour(unsupported=("json_schema",)),
    "no-format": Behaviour(unsupported=("json_schema", "json_object")),
    "srt-only": Behaviour(unsupported=("verbose_json",)),
    "vtt-only": Behaviour(unsupported=("verbose_json", "srt")),
    "text-only": Behaviour(unsupported=("verbose_json", "srt", "vtt")),
    "leak-essay": Behaviour(content_md="# Plan\n\nRead the task first.\n\n" + ESSAY + "\n\nGood luck.\n"),
    "leak-code": Behaviour(content_md="# Plan\n\nRead the task first.\n\n" + FUNCTION),
    "injection": Behaviour(content_md=INJECTION),
}

# the first calls of a model, after which it behaves
SEQUENCES: dict[str, list[str]] = {
    "500-then-ok": ["500"],
    "500-500-then-ok": ["500", "500"],
    "429-then-ok": ["429"],
    "eof-then-ok": ["eof-early"],
}

"""What the stand-in can be told to do, by the model's name (``standin-<behaviour>``) or through its control endpoint.

Statuses and bodies are those of real servers.
"""

from __future__ import annotations

import json
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
    refused_options: tuple[str, ...] = ()  # options of the request that are refused by name
    place: str = "content"  # where the text stands: content, parts, reasoning, json (a body in one piece), nowhere
    events: tuple[str, ...] = ()  # raw events before the text
    done: bool = True  # [DONE] ends the stream
    usage_in_every_chunk: bool = False
    vectors: str = "good"  # or one of VECTORS


# out of order, one too few, one without direction, one shorter, unnumbered, always of 32 numbers; and models that
# refuse texts above 500 characters, and texts with a forbidden word
VECTORS = ("shuffled", "few", "zero", "uneven", "unnumbered", "fixed", "short", "filtered")

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

DRAFT = (
    '{"title": "Draft", "content_md": "# Draft\\n\\nThis draft was wrong.\\n\\nMore of it.", "summary": "D",'
    ' "plan": [], "key_concepts": [], "questions": [], "resources": [], "time_estimate_minutes": 1}'
)
MINI = {
    "title": "T", "content_md": "# Begin\n\nRead the task first.\n\nThen \\(x^2\\) and $\\frac{1}{2} \\times \\nu$.",
    "summary": "S", "plan": [{"step": "Read", "minutes": 5}], "key_concepts": ["light"], "questions": ["Why?"],
    "resources": [], "time_estimate_minutes": 90,
}  # fmt: skip


def finish(reason: str) -> Behaviour:
    """A cut answer with this finish reason."""
    return Behaviour(finish_reason=reason, cut=0.6)


BEHAVIOURS: dict[str, Behaviour] = {
    # ---- statuses and bodies of refusals
    "402": Behaviour(402, problem("Payment required", None)),
    "408": Behaviour(408, problem("Request timed out", None)),
    "409": Behaviour(409, problem("Conflict", None)),
    "413": Behaviour(413, "<html>Request Entity Too Large</html>"),
    "context-list": Behaviour(400, [problem("maximum context length is 8192 tokens", None)]),
    "context-detail": Behaviour(
        422, {"detail": [{"msg": "the prompt is too long: 9000 tokens", "type": "value_error"}]}
    ),
    "context-text": Behaviour(400, "Input exceeds the context window of this model"),
    "quota-detail": Behaviour(429, {"detail": "You exceeded your current quota"}),
    "quota-flat": Behaviour(403, {"code": "insufficient_balance", "message": "Insufficient balance"}),
    "model-detail": Behaviour(400, {"detail": "model 'm' does not exist"}),
    "filter-flat": Behaviour(400, {"code": "content_filter", "message": "The response was filtered"}),
    "200-cut": Behaviour(body='{"id": "x", "choices": [{"mess'),
    "200-text": Behaviour(body="upstream connect error"),
    "200-list": Behaviour(body=[]),
    "200-no-choices": Behaviour(body={"id": "x", "object": "chat.completion"}),
    "200-empty-choices": Behaviour(body={"id": "x", "choices": []}),
    "200-null": Behaviour(
        body={"id": "x", "choices": [{"index": 0, "message": {"content": None}, "finish_reason": "stop"}]}
    ),
    "empty": Behaviour(text=""),
    # ---- vectors
    **{f"vectors-{how}": Behaviour(vectors=how) for how in VECTORS},
    # ---- streams
    "usage-everywhere": Behaviour(usage_in_every_chunk=True),
    "heartbeats": Behaviour(events=(": waiting\n\n", "event: ping\ndata: {}\n\n", ": still\n\n", "retry: 10\n\n")),
    "malformed-event": Behaviour(events=('data: {"choices": [\n\n',)),
    "error-string": Behaviour(events=('data: {"error": "the engine died"}\n\n',)),
    "error-quota": Behaviour(events=('data: {"error": {"code": "insufficient_quota", "message": "no"}}\n\n',)),
    "error-detail": Behaviour(events=('data: {"detail": "maximum context length is 10 tokens"}\n\n',)),
    "empty-stream": Behaviour(text="", finish_reason=None, usage=False),
    "no-finish": Behaviour(finish_reason=None),
    "no-finish-cut": Behaviour(finish_reason=None, cut=0.6),
    "no-finish-no-done": Behaviour(finish_reason=None, done=False),
    "finish-eos": Behaviour(finish_reason="eos"),
    "finish-END_TURN": Behaviour(finish_reason="END_TURN"),
    "finish-unheard": Behaviour(finish_reason="because"),
    "finish-MAX_TOKENS": finish("MAX_TOKENS"),
    "finish-model_length": finish("model_length"),
    "finish-SAFETY": finish("SAFETY"),
    "finish-RECITATION": finish("RECITATION"),
    "finish-content-filter": finish("content-filter"),
    "finish-sensitive": finish("sensitive"),
    "finish-error": finish("error"),
    "finish-network_error": finish("network_error"),
    "finish-no-resource": Behaviour(finish_reason="insufficient_system_resource", text=""),
    # ---- the answer in other places
    "parts": Behaviour(place="parts"),
    "reasoning": Behaviour(place="reasoning"),
    "reasoning-beside": Behaviour(
        place="content",
        events=('data: {"choices": [{"index": 0, "delta": {"reasoning_content": "hm {\\"title\\": 1}"}}]}\n\n',),
    ),
    "unstreamed": Behaviour(place="json"),
    "empty-schema": Behaviour(place="nowhere"),
    "no-stream-options": Behaviour(refused_options=("stream_options",)),
    "no-cap": Behaviour(refused_options=("max_tokens", "max_completion_tokens")),
    # ---- thoughts
    "thoughts-closed": Behaviour(before=f"Let me think. {DRAFT} Hm, no.\n</think>\n"),
    "thoughts-thinking": Behaviour(before=f"<thinking>First {DRAFT}</thinking>"),
    "thoughts-brackets": Behaviour(before=f"[THINK]First {DRAFT}[/THINK]\n"),
    "thoughts-channel": Behaviour(
        before=f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>"
    ),
    "thoughts-draft": Behaviour(before=f"A draft: {DRAFT}\n\nThat was wrong. Better:\n\n"),
    "thoughts-endless": Behaviour(before="<think>"),
    "thoughts-draft-first": Behaviour(before=f"{DRAFT}\n\nThat was wrong. Better:\n\n"),
    # ---- damaged JSON
    "latex": Behaviour(text=json.dumps(MINI).replace("\\\\", "\\")),
    "python": Behaviour(text=repr(MINI)),
    "trailing-comma": Behaviour(text=json.dumps(MINI).replace("90}", "90,}")),
    "no-brace": Behaviour(text=json.dumps(MINI)[:-1]),
    "minutes": Behaviour(text=json.dumps({**MINI, "title": "", "time_estimate_minutes": 12.5})),
    # ---- the older ones
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
    "opinion-leak": Behaviour(text='{"contains_finished_work": true}'),
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

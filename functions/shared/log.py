"""Logs: each event is one JSON line on stdout, with its request or job and without secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"
# whole words inside names such as access_token, clientSecret or X-Api-Key
SECRET_NAMES = re.compile(
    r"token|secret|passw|authori[sz]ation|api_?-?key|cookie|credential|signature|verifier|ticket|nonce|assertion"
    r"|e_?-?mail|content|description|prompt|answer_text|transcript|payload|(^|_)(code|state)$",
    re.IGNORECASE,
)
SECRET_VALUES = re.compile(
    r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?"  # JSON web tokens
    r"|sb_(secret|publishable)_[A-Za-z0-9_-]+"
    r"|(?i:bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"
    r"|sk-[A-Za-z0-9_-]{8,}"
    r"|[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",  # mail addresses
)
QUERY = re.compile(r"(?<=[A-Za-z0-9/_.~-])[?#][^\s\"'<>]+=[^\s\"'<>]*")
SAFE_NAMES = frozenset(
    {
        "error_code",
        "status_code",
        "content_type",
        "content_length",
        "prompt_tokens",
        "max_tokens",
        "completion_tokens",
        "cached_tokens",
        "token_count",
    }
)
MAX_TEXT_CHARACTERS = 2000
MAX_DEPTH = 6
QUIET = ("httpx", "httpcore", "httpx2", "httpcore2", "openai", "hpack", "urllib3")


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replaces values whose name or form is that of a secret, a mail address or a student's text."""
    return {name: _clean(name, value, 0) for name, value in event.items()}


def _clean(name: str, value: Any, depth: int) -> Any:
    if name not in SAFE_NAMES and SECRET_NAMES.search(name):
        return REDACTED
    if isinstance(value, bool | int | float) or value is None:
        return value
    if depth >= MAX_DEPTH:
        return REDACTED
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", inner, depth + 1) for inner in value]
    text = QUERY.sub("?" + REDACTED, SECRET_VALUES.sub(REDACTED, str(value)))
    return text if len(text) <= MAX_TEXT_CHARACTERS else text[:MAX_TEXT_CHARACTERS] + "..."


def exception_type(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Adds the type of an exception and where it was raised. Its text may contain input, so it is left out."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        event["exception"] = f"{info[0].__module__}.{info[0].__qualname__}"
        frames = []
        trace = info[2]
        while trace is not None:
            code = trace.tb_frame.f_code
            frames.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        event["where"] = frames[-12:]
    return event


SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.stdlib.PositionalArgumentsFormatter(),
    exception_type,
    redact,
]


def formatter() -> logging.Formatter:
    """Formats records of structlog and of the standard library as the same JSON lines."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )


def set_up_logs(level: str) -> None:
    """Sends every log of the process to stdout as JSON lines. A second call only changes the level."""
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    if not any(isinstance(handler, _Stdout) for handler in root.handlers):
        handler = _Stdout()
        handler.setFormatter(formatter())
        root.addHandler(handler)
    root.setLevel(level)
    for name in QUIET:
        # at INFO these log whole URLs
        logging.getLogger(name).setLevel(logging.WARNING)


class _Stdout(logging.StreamHandler[Any]):
    """Writes to the stdout of the moment, which tests replace."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    @property
    def stream(self) -> Any:
        return sys.stdout

    @stream.setter
    def stream(self, value: Any) -> None:
        """Keeps nothing: the stream is looked up for each line."""

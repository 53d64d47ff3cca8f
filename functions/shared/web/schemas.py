"""Bases of the models that describe what comes in and what goes out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer


class Request(BaseModel):
    """A request body or query; unknown keys are refused, so that a typo is never silent."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Answer(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(extra="forbid")


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# ISO 8601 in UTC with Z
UtcTime = Annotated[datetime, PlainSerializer(_utc, return_type=str, when_used="json")]


class Empty(Request):
    """A body without any field; an absent body counts as one."""


class ErrorBody(Answer):
    """The one error shape; codes are listed in docs/errors.md."""

    code: str
    message: str
    details: object | None
    hint: str | None
    request_id: str

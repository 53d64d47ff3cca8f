"""Bases of the models that describe what comes in and what goes out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema


class Request(BaseModel):
    """A request body or query. Unknown keys are refused, so that a typo is never silent."""

    # what the API page shows; every body has one
    example: ClassVar[Mapping[str, Any] | None] = None

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Answer(BaseModel):
    """An answer's body."""

    # what the API page shows; every body has one
    example: ClassVar[Mapping[str, Any] | None] = None

    model_config = ConfigDict(extra="forbid")


def utc(moment: datetime) -> str:
    """ISO 8601 in UTC, with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


UtcTime = Annotated[
    datetime,
    PlainSerializer(utc, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class ErrorBody(Answer):
    """The shape of every error. docs/errors.md lists the codes with their remedies."""

    code: str
    message: str
    details: Any
    hint: str | None
    request_id: str

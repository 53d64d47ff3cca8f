"""The bases of the models for requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from functions.shared.clock import utc


class Request(BaseModel):
    """A request body or query. Unknown keys are refused, so that a typing error is noticed."""

    # shown on the API page; every body has one
    example: ClassVar[Mapping[str, Any] | None] = None

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Answer(BaseModel):
    """An answer's body."""

    # shown on the API page; every body has one
    example: ClassVar[Mapping[str, Any] | None] = None

    model_config = ConfigDict(extra="forbid")


UtcTime = Annotated[
    datetime,
    PlainSerializer(utc, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class ErrorBody(Answer):
    """The shape of every error."""

    code: str
    message: str
    details: Any
    hint: str | None
    request_id: str

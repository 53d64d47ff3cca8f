"""The requests and answers of this service."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints

from functions.shared.web.schemas import Answer, Request, UtcTime


class StartRequest(Request):
    """Which Canvas, and where the browser goes afterwards, by default FRONTEND_URL."""

    example: ClassVar = {
        "lms_connection_id": "0b9a1f2e-5c3d-4e6f-8a7b-1c2d3e4f5a6b",
        "redirect_to": "https://app.example.edu/settings",
    }

    lms_connection_id: UUID
    redirect_to: str | None = Field(default=None, min_length=1, max_length=2000)


class StartAnswer(Answer):
    """Where to send the browser, and until when it may come back."""

    example: ClassVar = {
        "authorize_url": "https://canvas.example.edu/login/oauth2/auth?client_id=10000000000001&response_type=code",
        "expires_at": "2026-03-02T09:10:00Z",
    }

    authorize_url: str
    expires_at: UtcTime


class CompleteRequest(Request):
    """The values after the ``#`` that the front end got after consent."""

    example: ClassVar = {"state": "tZ2vG0l9mZ5q1xWcXo3yB7uJ8aKd4nEf", "code": "8d2f6c1e9b4a"}

    state: str = Field(min_length=1, max_length=512)
    code: str = Field(min_length=1, max_length=4096)


class TokenRequest(Request):
    """A personal access token, which the person made in Canvas under Account and Settings."""

    example: ClassVar = {
        "lms_connection_id": "0b9a1f2e-5c3d-4e6f-8a7b-1c2d3e4f5a6b",
        "token": "the-token-that-Canvas-showed-once",
    }

    lms_connection_id: UUID
    # what may stand in a header
    token: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1024, pattern=r"^[\x21-\x7e]+$")
    ] = Field(repr=False)


class HostRequest(Request):
    """A Canvas that is not on the list: its host, perhaps with a port, and what people call it."""

    example: ClassVar = {"host": "school.instructure.com", "name": "Our school"}

    host: str = Field(min_length=1, max_length=300)
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = None


class HostAnswer(Answer):
    """The Canvas with this host, and whether people may connect to it: pending until staff decide."""

    example: ClassVar = {"lms_connection_id": "0b9a1f2e-5c3d-4e6f-8a7b-1c2d3e4f5a6b", "status": "pending"}

    lms_connection_id: UUID
    status: str


class Integration(Answer):
    """A person's connection to one Canvas. With a personal access token it has no scopes."""

    id: UUID
    status: str
    instance_domain: str
    external_user_id: str
    scopes: list[str]


class CompleteAnswer(Answer):
    """The connection, and the job of its first sync."""

    example: ClassVar = {
        "integration": {
            "id": "3f6d2b1a-7c8e-4d5f-9a0b-2c3d4e5f6a7b",
            "status": "connected",
            "instance_domain": "canvas.example.edu",
            "external_user_id": "4711",
            "scopes": ["url:GET|/api/v1/courses"],
        },
        "job_id": "9c8b7a6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d",
    }

    integration: Integration
    job_id: UUID


class TokenAnswer(CompleteAnswer):
    """The same, and when the token ends, where Canvas tells it."""

    example: ClassVar = {
        **CompleteAnswer.example,
        "integration": {**CompleteAnswer.example["integration"], "scopes": []},
        "token_expires_at": "2026-12-31T23:59:59Z",
    }

    token_expires_at: UtcTime | None


class SecretRequest(Request):
    """The secret of our developer key at one Canvas."""

    example: ClassVar = {"client_secret": "the developer key's secret"}

    client_secret: str = Field(min_length=1, max_length=1024)

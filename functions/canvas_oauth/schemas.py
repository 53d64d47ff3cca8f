"""What comes in and goes out."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from functions.shared.web.schemas import Answer, Request, UtcTime


class StartRequest(Request):
    """Which Canvas, and where the browser goes afterwards."""

    lms_connection_id: UUID
    redirect_to: str | None = Field(default=None, min_length=1, max_length=2000)


class StartAnswer(Answer):
    """Where to send the browser, and until when it may come back."""

    authorize_url: str
    expires_at: UtcTime


class CompleteRequest(Request):
    """What stood behind the ``#`` after consent."""

    state: str = Field(min_length=1, max_length=512)
    code: str = Field(min_length=1, max_length=4096)


class Integration(Answer):
    """A person's connection to one Canvas."""

    id: UUID
    status: str
    instance_domain: str
    external_user_id: str
    scopes: list[str]


class CompleteAnswer(Answer):
    """The connection, and the job of its first sync."""

    integration: Integration
    job_id: UUID


class SecretRequest(Request):
    """The secret of our developer key at one Canvas."""

    client_secret: str = Field(min_length=1, max_length=1024)

"""The requests and answers of this service."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from functions.shared.web.schemas import Answer, Request, UtcTime


class KeySet(Answer):
    """Our public keys."""

    example: ClassVar = {
        "keys": [{"kty": "RSA", "n": "0vx7...", "e": "AQAB", "alg": "RS256", "use": "sig", "kid": "a1"}]
    }

    keys: list[dict[str, Any]]


class ToolConfiguration(Answer):
    """A developer key of Canvas as JSON."""

    example: ClassVar = {
        "title": "Headstart",
        "description": "A head start on every assignment, and an assistant for teachers.",
        "oidc_initiation_url": "https://api.example.edu/functions/v1/lti/login",
        "target_link_uri": "https://app.example.edu",
        "redirect_uris": ["https://api.example.edu/functions/v1/lti/launch"],
        "scopes": ["https://purl.imsglobal.org/spec/lti-ags/scope/score"],
        "public_jwk_url": "https://api.example.edu/functions/v1/lti/jwks.json",
        "custom_fields": {"masquerading_user_id": "$Canvas.masqueradingUser.id"},
        "extensions": [{"platform": "canvas.instructure.com", "domain": "app.example.edu", "privacy_level": "public"}],
    }

    title: str
    description: str
    oidc_initiation_url: str
    target_link_uri: str
    redirect_uris: list[str]
    scopes: list[str]
    public_jwk_url: str
    custom_fields: dict[str, str]
    extensions: list[dict[str, Any]]


class TicketRequest(Request):
    """What stands after the ``#`` of the address: the ticket and, without cookies, the secret from the platform."""

    example: ClassVar = {"ticket": "tZ2vG0l9mZ5q1xWcXo3yB7uJ8aKd4nEf", "binding": "Xo3yB7uJ8aKd4nEftZ2vG0l9mZ5q1xWc"}

    ticket: str = Field(min_length=1, max_length=512)
    binding: str | None = Field(default=None, min_length=1, max_length=512)


class CourseContext(Answer):
    """The course that was opened, as the platform names it."""

    id: str | None
    label: str | None
    title: str | None


class OpenedLaunch(Answer):
    """What was opened in Canvas, and as what. ``role`` is the role in this course."""

    launch_id: UUID
    role: Literal["teacher", "student", "none"]
    context: CourseContext | None
    target_link_uri: str
    placement: str | None
    message_type: str


class SessionAnswer(Answer):
    """A session, as Auth gave it, and the launch."""

    example: ClassVar = {
        "access_token": "eyJhbGciOi...",
        "refresh_token": "v1abc...",
        "expires_in": 3600,
        "token_type": "bearer",
        "user": {"id": "6c1f0b52-7d0e-4a3b-9a55-2f1c4b8d7e60", "role": "authenticated"},
        "launch": {
            "launch_id": "0b9a1f2e-5c3d-4e6f-8a7b-1c2d3e4f5a6b",
            "role": "teacher",
            "context": {"id": "4dde05e8ca1973bcca9bffc13e1548820eee93a3", "label": "BIO-1", "title": "Biology"},
            "target_link_uri": "https://app.example.edu",
            "placement": "course_navigation",
            "message_type": "LtiResourceLinkRequest",
        },
    }

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str
    user: dict[str, Any]
    launch: OpenedLaunch


class LinkAnswer(Answer):
    """The person of Canvas now comes in to this account."""

    example: ClassVar = {"linked": True}

    linked: Literal[True]


LAUNCHED_JOB = "5e6f7081-92a3-4b4c-95e6-f708192a3b4c"
Points = Annotated[float, Field(le=1_000_000, allow_inf_nan=False)]


class OwnLineItemRequest(Request):
    """A column of the gradebook that we make. ``resource_id`` is yours, and names it in this course for good."""

    example: ClassVar = {"resource_id": "essay-1", "label": "Essay 1"}

    resource_id: str = Field(min_length=1, max_length=255, pattern=r"\S")
    label: str = Field(min_length=1, max_length=255, pattern=r"\S")


class ScoreRequest(Request):
    """A score, in the words of LTI. Canvas shows it in the gradebook when it is FullyGraded or PendingManual."""

    example: ClassVar = {
        "user_id": "6c1f0b52-7d0e-4a3b-9a55-2f1c4b8d7e60",
        "score_given": 8.5,
        "score_maximum": 10,
        "activity_progress": "Completed",
        "grading_progress": "FullyGraded",
        "comment": "Well argued.",
        "line_item": {"resource_id": "essay-1", "label": "Essay 1"},
    }

    user_id: UUID = Field(description="Whose score: a person who has come in from this course.")
    score_given: Annotated[Points, Field(ge=0)] | None = Field(
        default=None, description="The points, of `score_maximum`. Left out, only the progress is told."
    )
    score_maximum: Annotated[Points, Field(gt=0)] | None = None
    activity_progress: Literal["Initialized", "Started", "InProgress", "Submitted", "Completed"]
    grading_progress: Literal["NotReady", "Failed", "Pending", "PendingManual", "FullyGraded"]
    comment: str | None = Field(default=None, min_length=1, max_length=2000)
    line_item: OwnLineItemRequest | None = Field(
        default=None, description="A column of our own, where the link has none. Needs `score_maximum`."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.score_given is not None or self.line_item is not None) and self.score_maximum is None:
            raise ValueError("score_maximum is needed beside score_given and line_item")
        return self


class JobStarted(Answer):
    """The job that does it; its row in `jobs` tells how it goes."""

    example: ClassVar = {"job_id": LAUNCHED_JOB}

    job_id: UUID


Title = Annotated[str, Field(min_length=1, max_length=255, pattern=r"\S")]


class ItemLineItem(Request):
    """The column of the gradebook that Canvas makes with a link."""

    example: ClassVar = {"scoreMaximum": 10, "label": "Essay 1", "resourceId": "essay-1"}

    score_maximum: Annotated[Points, Field(gt=0)] = Field(alias="scoreMaximum")
    label: Title | None = None
    resource_id: Title | None = Field(default=None, alias="resourceId")
    tag: Title | None = None


class ContentItem(Request):
    """A page of ours, as a content item of LTI: ``ltiResourceLink`` opens in a launch, ``link`` by itself."""

    example: ClassVar = {
        "type": "ltiResourceLink",
        "url": "https://app.example.edu/headstarts/1",
        "title": "Essay 1",
        "lineItem": {"scoreMaximum": 10},
    }

    type: Literal["ltiResourceLink", "link"]
    url: str = Field(min_length=1, max_length=2000, description="A page of the front end.")
    title: Title
    text: str | None = Field(default=None, min_length=1, max_length=2000)
    line_item: ItemLineItem | None = Field(default=None, alias="lineItem")


class DeepLinkRequest(Request):
    """What a teacher chose. No item at all is a choice, too."""

    example: ClassVar = {"launch_id": LAUNCHED_JOB, "items": [ContentItem.example]}

    launch_id: UUID
    items: list[ContentItem] = Field(max_length=50)


class DeepLinkAnswer(Answer):
    """What the browser posts to ``return_url``, in the field ``JWT`` of a form. Valid for five minutes."""

    example: ClassVar = {
        "return_url": "https://school.instructure.com/courses/1/deep_linking_response",
        "jwt": "eyJhbGciOi...",
    }

    return_url: str
    jwt: str


class DeepLinkChoice(Answer):
    """What Canvas takes at this launch. ``accept_types`` are those of ours."""

    example: ClassVar = {
        "accept_types": ["ltiResourceLink"],
        "accept_multiple": False,
        "accept_line_item": True,
        "title": None,
        "text": None,
        "context": {"id": "4dde05e8ca1973bcca9bffc13e1548820eee93a3", "label": "BIO-1", "title": "Biology"},
        "placement": "assignment_selection",
    }

    accept_types: list[Literal["ltiResourceLink", "link"]]
    accept_multiple: bool
    accept_line_item: bool
    title: str | None
    text: str | None
    context: CourseContext | None
    placement: str | None


class RegisterQuery(Request):
    """What Canvas adds to the address of our registration page."""

    example: ClassVar = {"openid_configuration": "https://sso.canvaslms.com/api/lti/security/openid-configuration"}

    openid_configuration: str = Field(min_length=1, max_length=2000)
    registration_token: str | None = Field(default=None, min_length=1, max_length=8000)


class ApprovalRequest(Request):
    """The school of a deployment that Canvas has not told us about; both or neither."""

    example: ClassVar = {
        "lms_connection_id": LAUNCHED_JOB,
        "deployment_id": "42:8865aa05b4b79b64a91a86042e43af5ea8ae79eb",
    }

    lms_connection_id: UUID | None = None
    deployment_id: str | None = Field(default=None, min_length=1, max_length=255, pattern=r"\S")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.lms_connection_id is None) != (self.deployment_id is None):
            raise ValueError("lms_connection_id and deployment_id belong together")
        return self


Status = Literal["pending", "active", "disabled"]


class RegisteredPlatform(Answer):
    """A platform, with the addresses that an approval trusts."""

    id: UUID
    name: str
    issuer: str
    status: Status
    jwks_url: str
    auth_url: str
    token_url: str


class RegisteredDeployment(Answer):
    """A deployment of a registration."""

    id: UUID
    deployment_id: str
    lms_connection_id: UUID
    status: Status
    last_used_at: UtcTime | None


class RegistrationRow(Answer):
    """Our client at a platform. ``last_used_at`` is when somebody last launched from one of its deployments."""

    id: UUID
    client_id: str
    status: Status
    created_at: UtcTime
    last_used_at: UtcTime | None
    platform: RegisteredPlatform
    deployments: list[RegisteredDeployment]


class RegistrationList(Answer):
    """Every registration, newest first."""

    example: ClassVar = {
        "registrations": [
            {
                "id": "0b9a1f2e-5c3d-4e6f-8a7b-1c2d3e4f5a6b",
                "client_id": "10000000000001",
                "status": "pending",
                "created_at": "2026-09-01T08:00:00Z",
                "last_used_at": None,
                "platform": {
                    "id": "6c1f0b52-7d0e-4a3b-9a55-2f1c4b8d7e60",
                    "name": "sso.canvaslms.com",
                    "issuer": "https://canvas.instructure.com",
                    "status": "pending",
                    "jwks_url": "https://sso.canvaslms.com/api/lti/security/jwks",
                    "auth_url": "https://sso.canvaslms.com/api/lti/authorize_redirect",
                    "token_url": "https://school.instructure.com/login/oauth2/token",
                },
                "deployments": [],
            }
        ]
    }

    registrations: list[RegistrationRow]

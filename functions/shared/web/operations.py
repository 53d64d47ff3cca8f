"""What a route declares: who may call it, its successful outcomes, and its errors.

``callers.py`` enforces the access and ``openapi.py`` documents it, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel

from functions.shared.errors import AppError

View = TypeVar("View", bound=Callable[..., Any])


class Access(Enum):
    """Who may call a route. It is checked before anything else of a request is read."""

    PUBLIC = "no credentials"
    PERSON = "a person who is signed in with an account"
    ADMINISTRATION = "an administrator, or the secret API key"


@dataclass(frozen=True)
class Header:
    """A request header that a route reads."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """One successful outcome of a route.

    :param model: the JSON body; its ``example`` is documented
    :param example: the body, when no model describes it
    :param headers: from name to description
    :param others: the same status in other media types, for callers who ask for them
    """

    description: str
    model: type[BaseModel] | None = None
    media_type: str = "application/json"
    example: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    others: Sequence[Outcome] = ()


@dataclass(frozen=True)
class Operation:
    """What :func:`operation` declares."""

    summary: str
    access: Access = Access.PERSON
    outcomes: Mapping[int, Outcome] = field(default_factory=lambda: {200: Outcome("Done.")})
    errors: Sequence[type[AppError]] = ()
    headers: Sequence[Header] = ()
    is_listed: bool = True
    max_body_bytes: int | None = None
    form: type[BaseModel] | None = None
    texts: Sequence[str] = ()


# a route without a declaration is closed and not documented
SILENT = Operation("", is_listed=False)


def operation(
    summary: str,
    outcomes: Mapping[int, Outcome] | None = None,
    *,
    access: Access = Access.PERSON,
    errors: Sequence[type[AppError]] = (),
    headers: Sequence[Header] = (),
    is_listed: bool = True,
    max_body_bytes: int | None = None,
    form: type[BaseModel] | None = None,
    texts: Sequence[str] = (),
) -> Callable[[View], View]:
    """For views, directly below the route. The view's docstring becomes the description.

    :param outcomes: from status to outcome
    :param errors: the errors that the view itself raises; those of input, credentials and decorators are added
    :param headers: the request headers that the view itself reads
    :param max_body_bytes: the largest body of this route; 1 MiB unless it says otherwise
    :param form: the fields beside the file, when the view reads an upload (uploads.py)
    :param texts: media types in which the field ``text`` of the JSON body may also be sent, as the whole body
    """
    said = Operation(
        summary, access, outcomes or {200: Outcome("Done.")}, errors, headers, is_listed, max_body_bytes, form, texts
    )

    def describe(view: View) -> View:
        view.__dict__["_operation"] = said
        return view

    return describe


def operation_of(view: Callable[..., Any]) -> Operation:
    """What a route declares."""
    said: Operation = getattr(view, "_operation", SILENT)
    return said


def may_also(view: Callable[..., Any], *errors: type[AppError], header: Header | None = None) -> None:
    """For decorators of views: declares the errors that they add and the header that they read."""
    view.__dict__["_added_errors"] = (*added_errors(view), *errors)
    if header is not None:
        view.__dict__["_headers"] = (*getattr(view, "_headers", ()), header)


def added_errors(view: Callable[..., Any]) -> tuple[type[AppError], ...]:
    """The errors that a view's decorators add."""
    errors: tuple[type[AppError], ...] = getattr(view, "_added_errors", ())
    return errors


def headers_of(view: Callable[..., Any]) -> tuple[Header, ...]:
    """The headers that a view and its decorators read."""
    added: tuple[Header, ...] = getattr(view, "_headers", ())
    return (*operation_of(view).headers, *added)

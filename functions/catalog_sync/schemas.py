"""The requests and answers of this service."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field, StringConstraints

from functions.shared.settings import MAX_CATALOG_TERMS, MAX_TERM_CHARACTERS
from functions.shared.web.schemas import Answer, Request

Term = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TERM_CHARACTERS)]


class CatalogRequest(Request):
    """What to read and how. By default it is every term of the settings, for real, with every guard."""

    example: ClassVar = {"terms": ["Fall 2026", "Spring 2027"], "dry_run": True}

    terms: list[Term] | None = Field(default=None, min_length=1, max_length=MAX_CATALOG_TERMS)
    dry_run: bool = False
    confirm_removals: bool = False


class CatalogStarted(Answer):
    """The job that reads the catalogue. Its row in `jobs` shows the result."""

    example: ClassVar = {"job_id": "9c8b7a6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"}

    job_id: UUID

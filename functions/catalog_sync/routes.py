"""The routes of this service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint

from functions.catalog_sync.errors import CatalogNotConfigured
from functions.catalog_sync.schemas import CatalogRequest, CatalogStarted
from functions.catalog_sync.service import CatalogService
from functions.shared.web.context import context
from functions.shared.web.operations import Access, Outcome, operation

blueprint = APIBlueprint(
    "catalog-sync",
    __name__,
    tag={"name": "catalog-sync", "description": "Brings the school's list of courses here."},
)


@blueprint.post("/runs")
@operation(
    "Read the school's courses",
    {202: Outcome("The run is queued, or a live one that was asked for in the same way was joined.", CatalogStarted)},
    access=Access.ADMINISTRATION,
    errors=(CatalogNotConfigured,),
)
@blueprint.input(CatalogRequest, arg_name="body")
def start(body: CatalogRequest) -> Any:
    """The list of all terms together replaces the official courses. What left the list is retired.

    Nothing changes when a term cannot be read or is empty, when more than a fifth of the courses would be missing, or
    more than half of a department of at least four. `confirm_removals` overrides the last two. `dry_run` reports what
    would change. The job's result: `{terms, seen, inserted, updated, unchanged, restored, retired, deleted,
    skipped: [{text, reason}], skipped_count, dry_run, note}`.
    """
    service = CatalogService(context().settings, context().database)
    job = service.start(body.terms, dry_run=body.dry_run, confirm_removals=body.confirm_removals)
    return CatalogStarted(job_id=UUID(job.job_id)), 202

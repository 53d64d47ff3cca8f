"""The handlers of this service."""

from __future__ import annotations

from functions.programme.brand import write_package
from functions.programme.calendar import advance, refresh_kpis
from functions.programme.notes import write_notes
from functions.programme.reviews.work import review
from functions.shared.jobs import HandlerRegistry


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("week_advance", advance)
    registry.add("kpi_refresh", refresh_kpis)
    registry.add("week_notes", write_notes)
    registry.add("brand_package", write_package)
    registry.add("code_review", review)

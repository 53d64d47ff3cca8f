"""The handlers of this service."""

from __future__ import annotations

from functions.programme.calendar import advance, refresh_kpis
from functions.shared.jobs import HandlerRegistry


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("week_advance", advance)
    registry.add("kpi_refresh", refresh_kpis)

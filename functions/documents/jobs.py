"""The handlers of this service's jobs.

``document_ingest``, payload ``{"document_id": ...}``, reads a document's text, makes it searchable and describes it.
``storage_cleanup`` brings files and rows together again (cleanup.py).
"""

from __future__ import annotations

from functions.documents.cleanup import clean_storage
from functions.documents.ingest import ingest
from functions.shared.jobs import HandlerRegistry


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("document_ingest", ingest)
    registry.add("storage_cleanup", clean_storage)

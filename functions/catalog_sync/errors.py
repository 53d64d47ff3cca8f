"""The errors of this service."""

from __future__ import annotations

from functions.shared.errors import AppError


class CatalogNotConfigured(AppError):
    """This deployment has no school catalogue. Operators set CATALOG_URL and CATALOG_TERMS."""

    status = 409
    code = "catalog_not_configured"


class CatalogUnavailable(AppError):
    """The school's catalogue does not answer. Try again later."""

    status = 503
    code = "catalog_unavailable"


class CatalogBadAnswer(AppError):
    """The school's catalogue answers with something that is not its list of courses. Check CATALOG_URL."""

    status = 502
    code = "catalog_bad_answer"


class CatalogGuard(AppError):
    """The school's list lacks too much, so nothing was changed. Check it, then confirm the removals."""

    status = 409
    code = "catalog_guard"

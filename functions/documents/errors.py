"""The errors of this service."""

from __future__ import annotations

from functions.shared.errors import AppError


class CatalogCourseNotFound(AppError):
    """This course does not exist. Choose one of the catalogue."""

    status = 404
    code = "catalog_course_not_found"


class DocumentTypeNotSupported(AppError):
    """Files of this type are not supported. Send a PDF, or text or Markdown in UTF-8."""

    status = 415
    code = "document_type_not_supported"


class DocumentEmpty(AppError):
    """The file is empty. Send one with content."""

    status = 422
    code = "document_empty"

"""The errors of this service. Those of models are in ``shared/llm/errors.py``."""

from __future__ import annotations

from functions.shared.errors import AppError


class ExternalIdConflict(AppError):
    """This external_id was used for another question of the thread. Use a new one."""

    status = 409
    code = "external_id_conflict"


class AnswerInProgress(AppError):
    """Another question of this thread is being answered. Wait for its answer, or stop it."""

    status = 409
    code = "answer_in_progress"


class SourceTypeNotSupported(AppError):
    """The file is not what its name says, or of a type that is not read. Send a PDF, DOCX, PPTX, HTML or text file."""

    status = 415
    code = "source_type_not_supported"


class SourceEmpty(AppError):
    """The file is empty. Send one with content."""

    status = 422
    code = "source_empty"


class SourceTooLong(AppError):
    """The file unpacks to more than is read. Send a part of it."""

    status = 422
    code = "source_too_long"


class SourceEncrypted(AppError):
    """The file is protected by a password. Save it without one and send it again."""

    status = 422
    code = "source_encrypted"


class SourceNotReady(AppError):
    """A source that was named has no text to quote yet. Look at its status, then ask again."""

    status = 409
    code = "source_not_ready"


class NotWritten(AppError):
    """This is not written yet, or could not be written. Look at its job and its error_code."""

    status = 409
    code = "not_written"


class ExportNotSupported(AppError):
    """This kind of material has no such form. Take it as Markdown or HTML."""

    status = 422
    code = "export_not_supported"

"""The errors of this service. Those of models and agents are in ``shared``."""

from __future__ import annotations

from functions.shared.errors import AppError
from functions.shared.llm.errors import ModelError


class SessionEnded(AppError):
    """This session has ended. Start a new one."""

    status = 409
    code = "session_ended"


class WeekArchived(AppError):
    """The session's week is archived: it can be read, and nothing is added to it. Choose a newer week."""

    status = 409
    code = "week_archived"


class ExternalIdConflict(AppError):
    """This external_id was used for another line of the session. Use a new one."""

    status = 409
    code = "external_id_conflict"


class AnswerInProgress(AppError):
    """The agent still answers another line of this session. Wait for its answer, or stop it."""

    status = 409
    code = "answer_in_progress"


class AudioTypeNotSupported(AppError):
    """The file is no sound that is read. Send M4A, MP3, Ogg, WAV or WebM."""

    status = 415
    code = "audio_type_not_supported"


class AudioTooLong(AppError):
    """The recording is longer than ten minutes. Send a shorter one."""

    status = 422
    code = "audio_too_long"


class AudioSilent(ModelError):
    """Nothing is to be heard in the recording. Check the microphone, and record it again."""

    status = 422
    code = "audio_silent"

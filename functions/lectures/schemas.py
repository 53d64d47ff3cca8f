"""The requests and answers of this service."""

from __future__ import annotations

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import StringConstraints

from functions.lectures.links import MAX_URL_CHARACTERS
from functions.shared.web.schemas import Answer, Request, UtcTime

LECTURE_ID = "7d1c2b3a-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
COURSE_ID = "5b4a3c2d-1e0f-4b9a-8d7c-6e5f4a3b2c1d"
FILES = "https://abc.supabase.co/storage/v1/object/sign"


class LectureRequest(Request):
    """A link to a recording, and the course it belongs to."""

    example: ClassVar = {
        "catalog_course_id": COURSE_ID,
        "panopto_url": "https://school.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id=0a6f2c1e-5b7d-4f3a-9c21-6d8e4b0f7a11",
        "title": "Hash tables",
    }

    catalog_course_id: UUID
    panopto_url: Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_CHARACTERS)]
    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] | None = None


class LectureSubmitted(Answer):
    """The lecture that the caller follows now. ``created`` is false when it was known already."""

    example: ClassVar = {"lecture_id": LECTURE_ID, "status": "pending", "created": True}

    lecture_id: UUID
    status: str
    created: bool


class LectureMedia(Answer):
    """Addresses of the lecture's files, each null until the file is there."""

    example: ClassVar = {
        "audio_url": f"{FILES}/audio/{LECTURE_ID}.m4a?token=eyJh",
        "transcript_url": f"{FILES}/transcripts/{LECTURE_ID}.json?token=eyJh",
        "captions_url": f"{FILES}/transcripts/{LECTURE_ID}.vtt?token=eyJh",
        "expires_at": "2026-03-02T09:05:00Z",
    }

    audio_url: str | None
    transcript_url: str | None
    captions_url: str | None
    expires_at: UtcTime

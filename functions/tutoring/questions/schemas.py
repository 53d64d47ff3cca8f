"""The requests and answers about questions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from functions.shared.web.schemas import Answer, Request, UtcTime
from functions.tutoring.schemas import ASSIGNMENT_ID, SUBJECT_ID

MAX_QUESTION_CHARACTERS = 10_000
MAX_NOTE_CHARACTERS = 2_000
MAX_COURSES = 20
QUESTION_ID = "1a2b3c4d-5e6f-4708-9192-a3b4c5d6e7f8"
SOURCE_ID = "3c4d5e6f-7081-492a-b3c4-d5e6f7081920"
CHUNK_ID = "6f5e4d3c-2b1a-4098-8f7e-6d5c4b3a2918"


class QuestionRequest(Request):
    """A question."""

    example: ClassVar = {
        "question": "Where in the cell does the light reaction take place?",
        "external_id": "question-1",
        "subject_id": SUBJECT_ID,
    }

    question: Annotated[str, StringConstraints(min_length=1, max_length=MAX_QUESTION_CHARACTERS, pattern=r"\S")] = (
        Field(description="The question, in any language.")
    )
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="Your own id of the question. The same id and question give the same answer, however often you ask."
    )
    subject_id: UUID | None = Field(default=None, description="The subject that it belongs to.")
    catalog_course_ids: list[UUID] = Field(
        default_factory=list, max_length=MAX_COURSES, description="Whose material is searched. By default all of yours."
    )
    assignment_id: UUID | None = Field(
        default=None, description="The assignment in Canvas that it is about. Its finished work is never given."
    )


class EscalateRequest(Request):
    """A question for the tutor."""

    example: ClassVar = {"note": "I do not see why the second step is allowed."}

    note: Annotated[str, StringConstraints(max_length=MAX_NOTE_CHARACTERS)] | None = Field(
        default=None, description="What the tutor should know."
    )


class QuestionCitation(Answer):
    """What the answer cites: words that stand in the fragment exactly so. `n` stands in the answer as `[n]`."""

    n: int
    kind: Literal["document", "lecture", "content_source"]
    source_id: UUID
    chunk_id: UUID
    quote: str
    page_start: int | None
    start_second: float | None


class Interaction(Answer):
    """A question with its answer, and what is said about the answer."""

    example: ClassVar = {
        "id": QUESTION_ID,
        "query": QuestionRequest.example["question"],
        "answer": "Your notes say that it takes place in the thylakoid membranes [1]. What does it need there?",
        "status": "complete",
        "external_id": "question-1",
        "subject_id": SUBJECT_ID,
        "assignment_id": ASSIGNMENT_ID,
        "citations": [
            {
                "n": 1,
                "kind": "document",
                "source_id": SOURCE_ID,
                "chunk_id": CHUNK_ID,
                "quote": "takes place in the thylakoid membranes",
                "page_start": 2,
                "start_second": None,
            }
        ],
        "confidence": "High",
        "confidence_score": 0.93,
        "calibrator_version": 1,
        "out_of_scope": False,
        "clarification_requested": False,
        "clarification_question": None,
        "context_subjects": ["Biology"],
        "tutor_escalation_suggested": False,
        "escalated_to_tutor_id": None,
        "escalated_at": None,
        "escalation_note": None,
        "disclaimer_shown": True,
        "overridden": False,
        "finish_reason": "stop",
        "error_code": None,
        "model": "some-model",
        "prompt_version": "tutoring-question/1.0.0",
        "metrics": {"attempts": 1, "citations": 1, "citations_dropped": 0},
        "created_at": "2026-03-02T09:00:00Z",
    }

    id: UUID
    query: str
    answer: str
    status: Literal["complete", "streaming", "stopped", "interrupted", "failed"]
    external_id: str | None
    subject_id: UUID | None
    assignment_id: UUID | None
    citations: list[QuestionCitation]
    confidence: Literal["High", "Medium", "Low"] = Field(description="Low also while the answer is being written.")
    confidence_score: float | None = Field(description="The calibrated chance that the answer is right.")
    calibrator_version: int | None
    out_of_scope: bool
    clarification_requested: bool
    clarification_question: str | None
    context_subjects: list[str]
    tutor_escalation_suggested: bool
    escalated_to_tutor_id: UUID | None
    escalated_at: UtcTime | None
    escalation_note: str | None
    disclaimer_shown: bool
    overridden: bool
    finish_reason: str | None
    error_code: str | None
    model: str | None
    prompt_version: str | None
    metrics: dict[str, Any]
    created_at: UtcTime


class InteractionAnswer(Answer):
    """A question with its answer."""

    example: ClassVar = {"interaction": Interaction.example}

    interaction: Interaction


class QuestionStopped(Answer):
    """Whether an answer was being written, and was stopped."""

    example: ClassVar = {"id": QUESTION_ID, "stopped": True}

    id: UUID
    stopped: bool

"""Has material written, and gives it out as files. Models are called by the job (generating.py), never here."""

from __future__ import annotations

from typing import NamedTuple

from functions.chat.errors import NotWritten
from functions.chat.export import Export, export
from functions.chat.schemas import ExportQuery, Wish
from functions.shared.answers.waking import Waker
from functions.shared.clock import Clock
from functions.shared.database import Database, rpc, rpc_row, run
from functions.shared.errors import Forbidden, NotFound
from functions.shared.tokens import Caller
from functions.shared.usage import limit_reached

METER = "generated_content"
# until the model gives a title
TITLES = {
    "lesson_plan": "Lesson plan",
    "quiz": "Quiz",
    "rubric": "Rubric",
    "worksheet": "Worksheet",
    "slides": "Slides",
    "summary": "Summary",
    "other": "Material",
}


class Begun(NamedTuple):
    """The row that will hold the material, and the job that writes it."""

    generated_content_id: str
    job_id: str


class MaterialService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, database: Database, waker: Waker, clock: Clock) -> None:
        self._database = database
        self._waker = waker
        self._clock = clock

    def begin(self, caller: Caller, wish: Wish) -> Begun:
        """Has material written.

        :raise Forbidden: the caller is no teacher
        :raise NotFound: the class, the thread or a source does not exist, or belongs to another teacher
        :raise PlanLimitReached: the caller's plan allows no more in this period
        """
        require_teacher(self._database, caller)
        args = {
            "p_teacher_id": caller.user_id,
            "p_kind": wish.kind,
            "p_title": wish.title or TITLES[wish.kind],
            "p_instructions": wish.instructions,
            "p_class_id": None if wish.class_id is None else str(wish.class_id),
            "p_content_source_ids": sorted({str(source) for source in wish.content_source_ids}),
            "p_thread_id": None if wish.thread_id is None else str(wish.thread_id),
            "p_has_title": wish.title is not None,
        }
        # the function looks among the caller's own rows
        row = rpc_row(self._database.service(), "svc_begin_generated_content", args)
        if not row["taken"]:
            raise limit_reached(self._clock, METER, row)
        self._waker.wake()
        return Begun(row["generated_content_id"], row["job_id"])

    def export(self, caller: Caller, content_id: str, query: ExportQuery) -> Export:
        """One of the caller's own as a file.

        :raise NotFound: it does not exist, or belongs to another teacher
        :raise NotWritten: it is not written
        :raise ExportNotSupported: it has no such form
        """
        client = self._database.user(caller.token).from_("generated_content")
        rows = run(client.select("kind,title,content,content_md,citations").eq("id", content_id).limit(1))
        if not rows:
            raise NotFound
        markdown = rows[0]["content_md"]
        if markdown is None:
            raise NotWritten
        if not query.answers and "markdown" not in rows[0]["content"]:
            args = {"p_id": content_id, "p_teacher_id": caller.user_id, "p_has_answers": False}
            markdown = rpc(self._database.service(), "svc_render_content", args, safe=True)
        return export(rows[0], markdown, query.format, query.answers)


def require_teacher(database: Database, caller: Caller) -> None:
    """Lets teachers pass.

    :raise Forbidden: the caller is no teacher
    """
    if not run(database.user(caller.token).from_("teachers").select("id").eq("id", caller.user_id).limit(1)):
        raise Forbidden("Only teachers have material. Open the product from a course that you teach.")

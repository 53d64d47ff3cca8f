"""The handler of ``content_generation`` jobs: writes a teacher's lesson plan, quiz or other material.

Payload: ``{"generated_content_id", "content_source_ids", "has_title", "period_start"}``. It may run twice and be killed
at any line: the calls of earlier attempts count, and the row is written once, in one statement, at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from functions.chat.errors import SourceNotReady
from functions.chat.grounding import Grounding, ground
from functions.chat.history import trimmed, turns_of
from functions.chat.shapes import MAX_LINE_CHARACTERS, SHAPES, Material, parts_of
from functions.shared.agents import assign_agent
from functions.shared.answers.marks import MarkFilter
from functions.shared.database import rpc, run
from functions.shared.errors import AppError, CheckFailed, Internal, Unavailable, ValidationFailed
from functions.shared.jobs import JobCancelled, JobContext, JobFailure
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message, ModelClient
from functions.shared.llm.embeddings import query_vector
from functions.shared.llm.errors import DeadlineExceeded, InvalidResponse, ModelError
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.prompts import DataBlocks, load_prompt
from functions.shared.llm.structured import Wanted, write
from functions.shared.llm.usage import estimated_tokens
from functions.shared.markup.markdown import is_closed, plain, safe_markdown
from functions.shared.markup.text import visible

log = structlog.get_logger(__name__)

MAX_CALLS = 3
MAX_SOURCE_SECONDS = 120.0
LOOK_SECONDS = 0.5
MAX_MESSAGES = 40
# of the model's window: for what it writes, and of the rest for material; the conversation gets what is left
ANSWER_SHARE = 0.3
MATERIAL_SHARE = 0.7
# an estimate may be too low
RESERVE_SHARE = 0.2
ENDS = ("", "\n```", "\n~~~")
COLUMNS = "id,kind,title,instructions,class_id,thread_id,content_md,error_code"


def generate(context: JobContext) -> Mapping[str, Any]:
    """Writes the material of one row. The job's result says what became of it.

    :raise JobFailure: it could not be written; the row has the same code. Only a database that does not answer is
        tried again
    :raise JobCancelled: its teacher cancelled the job
    """
    try:
        return Generation(context).work()
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error


class Generation:
    """One attempt at one row."""

    def __init__(self, context: JobContext) -> None:
        payload = context.job.payload
        self._context = context
        self._id = str(payload["generated_content_id"])
        self._source_ids: Sequence[str] = payload.get("content_source_ids") or ()
        self._has_title = bool(payload.get("has_title"))
        self._service = context.database.service()
        self._client = ModelClient(context.settings)
        self._ledger = Ledger.of_job(context, "content_generation")
        self._prompt = load_prompt(Path(__file__).parent / "prompts" / "generate")
        self._began = context.clock.monotonic()
        self._characters = 0

    def work(self) -> Mapping[str, Any]:
        """Reads the row, asks the model and ends the row."""
        query = self._service.from_("generated_content").select(COLUMNS).eq("id", self._id)
        rows = run(query.eq("teacher_id", self._context.job.user_id).limit(1))
        if not rows or rows[0]["content_md"] is not None or rows[0]["error_code"] is not None:
            # deleted, or ended by an earlier attempt or by its teacher
            return self._result("gone" if not rows else "ended")
        path: str | None = None
        try:
            self._client = assign_agent(self._context, "assistant").client(self._context.settings)
            self._ledger.resume()
            self._wait_for_sources()
            answer, path, cited = self._ask(rows[0])
            self._context.progress({"step": "storing", "characters": self._characters})
            return self._store(answer, path, cited)
        except JobCancelled:
            self._end("cancelled", path)
            raise
        except (ModelError, SourceNotReady) as error:
            failure: AppError = error
        except JobFailure as error:
            failure = DeadlineExceeded() if error.code == "deadline_exceeded" else Internal()
        except (CheckFailed, ValidationFailed) as error:
            log.warning("content_refused", generated_content_id=self._id, error_code=error.code)
            failure = InvalidResponse()
        except AppError:
            raise
        self._end(failure.code, path)
        raise JobFailure(failure.code, failure.message, retryable=False)

    def _wait_for_sources(self) -> None:
        """Waits until the named sources are read: a teacher uploads a file and asks for a quiz at once.

        :raise SourceNotReady: one could not be read, is gone, or takes too long
        """
        clock, ids = self._context.clock, list(self._source_ids)
        until = clock.monotonic() + MAX_SOURCE_SECONDS
        while ids:
            query = self._service.from_("content_sources").select("id,status").in_("id", ids)
            states = [row["status"] for row in run(query.eq("teacher_id", self._context.job.user_id))]
            if states == ["ready"] * len(ids):
                return
            if "failed" in states or len(states) < len(ids) or clock.monotonic() > until:
                raise SourceNotReady
            self._context.progress({"step": "waiting", "characters": 0})
            self._context.check_cancelled()
            clock.sleep(LOOK_SECONDS)

    def _ask(self, row: Mapping[str, Any]) -> tuple[Material, str, MarkFilter]:
        """The model's answer, how it was read, and the marks of what it may cite."""
        self._context.progress({"step": "reading", "characters": 0})
        blocks = DataBlocks()
        parts = self._prompt.parts
        asked = [f"{parts['request']}\n\n{row['instructions']}"]
        if self._has_title:
            asked.append(f"{parts['titled']} {row['title']}")
        fixed = estimated_tokens("".join([parts["system"], parts[row["kind"]], *asked]))
        window = self._context.settings.model_context_tokens
        room = max(0, int(window * (1 - ANSWER_SHARE) * (1 - RESERVE_SHARE)) - fixed)
        grounding = self._material(row, int(room * MATERIAL_SHARE))
        material = grounding.text(blocks)
        history, _ = trimmed(turns_of(self._history(row)), room - estimated_tokens(material))
        messages: list[Message] = [
            {"role": "system", "content": f"{parts['system']}\n\n{parts[row['kind']]}"},
            *history,
            {"role": "user", "content": "\n\n".join([material, *asked] if material else asked)},
        ]
        deadline = self._context.clock.monotonic() + self._context.settings.model_deadline_seconds
        budget = Budget(
            self._ledger, MAX_CALLS, min(deadline, self._context.deadline), check=self._context.check_cancelled
        )
        wanted = Wanted(str(row["kind"]), SHAPES[row["kind"]], messages, on_text=self._hear)
        answer, path = write(self._client, wanted, budget)
        return answer, path, MarkFilter(grounding.passages, wants_title=False)

    def _material(self, row: Mapping[str, Any], max_tokens: int) -> Grounding:
        context, teacher_id = self._context, str(self._context.job.user_id)
        query = self._service.from_("content_sources").select("id").eq("teacher_id", teacher_id)
        return ground(
            self._service,
            teacher_id,
            row["instructions"],
            class_id=row["class_id"],
            source_ids=self._source_ids,
            has_sources=bool(run(query.eq("status", "ready").limit(1))),
            meaning=lambda: query_vector(
                context.settings, self._service, context.clock, teacher_id, row["instructions"]
            ),
            max_tokens=max_tokens,
        )

    def _history(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The newest lines of the conversation that asks for it. The database has checked whose it is."""
        if row["thread_id"] is None:
            return []
        query = self._service.from_("messages").select("id,role,content,status,parent_id")
        rows = run(query.eq("thread_id", row["thread_id"]).order("seq", desc=True).limit(MAX_MESSAGES))
        return list(reversed(rows))

    def _hear(self, text: str) -> None:
        self._characters += len(text)
        self._context.progress({"step": "writing", "characters": self._characters})

    def _store(self, answer: Material, path: str, marks: MarkFilter) -> Mapping[str, Any]:
        def clean(text: str) -> str:
            shown = safe_markdown(visible(marks.feed(text) + marks.finish()))
            # code that is left open would swallow the rest of the page
            closed = (f"{shown}{end}" for end in ENDS if is_closed(f"{shown}{end}"))
            return next(closed, plain(shown))

        content = parts_of(answer, clean)
        title = None if self._has_title else " ".join(visible(str(answer.title)).split())
        args = {
            "p_content": content,
            "p_title": (title or "")[:MAX_LINE_CHARACTERS] or None,
            "p_citations": list(marks.citations()),
            **self._facts(path, marks.metrics()),
        }
        is_written = rpc(self._service, "svc_finish_generated_content", args, safe=True)
        return self._result("written" if is_written else "ended")

    def _end(self, code: str, path: str | None) -> None:
        """Fails the row. When the database does not answer, the sweep of stuck rows does it."""
        args = {"p_content": None, "p_error_code": code, **self._facts(path, {})}
        rpc(self._service, "svc_finish_generated_content", args, safe=True)

    def _facts(self, path: str | None, more: Mapping[str, Any]) -> dict[str, Any]:
        latency = int((self._context.clock.monotonic() - self._began) * 1000)
        return {
            "p_id": self._id,
            "p_metrics": {**self._ledger.tally.metrics(latency, path), **more},
            "p_model": self._client.model,
            "p_prompt_version": self._prompt.version,
        }

    def _result(self, outcome: str) -> Mapping[str, Any]:
        return {"generated_content_id": self._id, "status": outcome}

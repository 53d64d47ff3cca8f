"""The handler of ``practice_generation``, payload ``{"practice_generation_id": ...}``.

One call writes the questions. A second one, which does not see the keys, answers them; only questions whose two answers
agree are stored (checking.py says how that is told). The job may run twice and be killed at any line: the calls of
earlier attempts count, and everything is stored in one statement at the end, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from functions.shared.agents import assign_agent
from functions.shared.answers.citations import Passage
from functions.shared.database import rpc
from functions.shared.errors import AppError, CheckFailed, Internal, NotFound, Unavailable, ValidationFailed
from functions.shared.jobs import JobCancelled, JobContext, JobFailure
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message, ModelClient
from functions.shared.llm.errors import DeadlineExceeded, InvalidResponse, ModelError
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.prompts import DataBlocks, load_prompt
from functions.shared.llm.structured import Wanted, write
from functions.shared.llm.usage import estimated_tokens
from functions.shared.markup.text import visible
from functions.tutoring.generation.checking import (
    Candidate,
    Deck,
    Derivations,
    Derived,
    Dropped,
    Item,
    OpenWork,
    Reason,
    candidate,
    disagreement,
    language_for,
    needs_reader,
    words,
)
from functions.tutoring.generation.errors import SourceUnread
from functions.tutoring.grading import PASS_SCORE
from functions.tutoring.reading import read

log = structlog.get_logger(__name__)

PROMPTS = Path(__file__).parent / "prompts"
# to write and to answer, each with a repair and a repetition; every answer in words may need a reader
MAX_CALLS = 6
# of the model's window, because the answer needs room and an estimate may be too low
MATERIAL_SHARE = 0.5


def generate(context: JobContext) -> Mapping[str, Any]:
    """Writes the practice of one request. The job's result is what ``private.practice_generations.result`` keeps.

    :raise JobFailure: it could not be written, and what was counted is given back. Only a database that does not answer
        is tried again
    :raise JobCancelled: whoever asked cancelled the job
    """
    try:
        return Generation(context).work()
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error


class Generation:
    """One attempt at one request."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._id = str(context.job.payload["practice_generation_id"])
        self._service = context.database.service()
        self._ledger = Ledger.of_job(context, "practice_generation")
        self._dropped: Counter[Reason] = Counter()

    def work(self) -> Mapping[str, Any]:
        """Reads the request, has questions written and checked, and stores them."""
        row = rpc(self._service, "svc_load_practice_generation", {"p_id": self._id}, safe=True)
        if row is None or row["result"] is not None:
            # gone with its student, or ended by an earlier attempt
            return dict(row["result"]) if row else {"status": "gone"}
        failure: AppError
        try:
            if not row["is_allowed"]:
                raise NotFound
            if row["has_sources"] and not row["fragments"]:
                raise SourceUnread
            kept = self._written(row)
            self._context.progress({"step": "storing"})
            args = {"p_id": self._id, "p_items": [one.row() for one in kept], "p_dropped": dict(self._dropped)}
            result = rpc(self._service, "svc_store_practice_items", args, safe=True)
            return dict(result) if result else {"status": "gone"}
        except JobCancelled:
            self._end("cancelled")
            raise
        except (ModelError, NotFound, SourceUnread) as error:
            failure = error
        except JobFailure as error:
            failure = DeadlineExceeded() if error.code == "deadline_exceeded" else Internal()
        except (CheckFailed, ValidationFailed) as error:
            log.warning("practice_refused", practice_generation_id=self._id, error_code=error.code)
            failure = InvalidResponse()
        self._end(failure.code)
        raise JobFailure(failure.code, failure.message, retryable=False)

    def _end(self, code: str) -> None:
        rpc(self._service, "svc_fail_practice_generation", {"p_id": self._id, "p_error_code": code}, safe=True)

    def _written(self, row: Mapping[str, Any]) -> list[Candidate]:
        context, settings = self._context, self._context.settings
        client = assign_agent(context, "tutor_companion").client(settings)
        self._ledger.resume()
        deadline = min(context.clock.monotonic() + settings.model_deadline_seconds, context.deadline)
        max_calls = MAX_CALLS + int(row["count"])
        budget = Budget(self._ledger, max_calls, deadline, check=context.check_cancelled)
        passages = self._passages(row["fragments"]) if row["has_sources"] else None
        context.progress({"step": "writing"})
        deck, _ = write(client, Wanted("practice", Deck, writing_messages(row, passages)), budget)
        language = language_for(deck.language, [one["language"] for one in row["fragments"]])
        context.progress({"step": "checking"})
        sound = self._sound(deck.items[: row["count"]], row, language, passages)
        if not sound:
            return []
        answered, _ = write(client, Wanted("practice_answers", Derivations, solving_messages(sound)), budget)
        derived = {one.number: one for one in answered.answers}
        return [one for number, one in enumerate(sound, 1) if self._agrees(one, derived.get(number), client, budget)]

    def _passages(self, fragments: Sequence[Mapping[str, Any]]) -> list[Passage]:
        left = int(self._context.settings.model_context_tokens * MATERIAL_SHARE)
        kept: list[Passage] = []
        for one in fragments:
            text = visible(one["content"])
            left -= estimated_tokens(text)
            if left < 0 and kept:
                break
            names = ("kind", "source_id", "chunk_id", "page_start", "start_second")
            kept.append(Passage(len(kept) + 1, one["title"], text, {name: one[name] for name in names}))
        return kept

    def _sound(
        self, items: Sequence[Item], row: Mapping[str, Any], language: str, passages: Sequence[Passage] | None
    ) -> list[Candidate]:
        """The questions that pass all checks but the second answer; the others are counted by their reason."""
        args = {"p_student_id": row["student_id"]}
        work = OpenWork(rpc(self._service, "svc_question_keys", args, safe=True)["assignments"])
        known = {words(question) for question in row["open_questions"]}
        kept: list[Candidate] = []
        for item in items:
            try:
                one = candidate(item, language, row["difficulty_level"], passages)
                if words(one.question) in known:
                    raise Dropped("duplicate")
                if work.is_in(one):
                    raise Dropped("open_assignment")
            except Dropped as error:
                self._dropped[error.reason] += 1
            else:
                known.add(words(one.question))
                kept.append(one)
        return kept

    def _agrees(self, one: Candidate, derived: Derived | None, client: ModelClient, budget: Budget) -> bool:
        """Whether a second answer is right by the key, as a student's answer would be."""
        reason = disagreement(one, derived)
        if reason is None and derived is not None and needs_reader(one, derived):
            reference = "\n\n".join(filter(None, [one.key.accepted[0], one.explanation]))
            found = read(client, budget, one.question, reference, derived.answer).grade
            reason = None if found is not None and found.score >= PASS_SCORE else "wrong_key"
        if reason is not None:
            self._dropped[reason] += 1
        return reason is None


def writing_messages(row: Mapping[str, Any], passages: Sequence[Passage] | None) -> list[Message]:
    """What the model is asked when it writes. All that people wrote stands in blocks, but the wish."""
    parts, blocks = load_prompt(PROMPTS / "write").parts, DataBlocks()
    data = [blocks.block("subject", row["subject"])]
    data += [blocks.block("topics", "\n".join(row["topic_tags"]))] if row["topic_tags"] else []
    data += [_source(blocks, one) for one in passages or ()]
    asked = [f"{parts['request']} {row['count']}"]
    asked += [f"{parts['level']} {row['difficulty_level']}"] if row["difficulty_level"] else []
    asked += [f"{parts['wish']}\n\n{visible(row['instructions'])}"] if row["instructions"] else []
    return [
        {"role": "system", "content": parts["system"]},
        {"role": "user", "content": "\n\n".join([blocks.rule(), *data, *asked])},
    ]


def solving_messages(sound: Sequence[Candidate]) -> list[Message]:
    """What the model is asked when it answers: questions with their choices and sources, and nothing of the keys."""
    parts, blocks = load_prompt(PROMPTS / "solve").parts, DataBlocks()
    cited = {one.passage.number: one.passage for one in sound if one.passage is not None}
    data = [_source(blocks, passage) for _, passage in sorted(cited.items())]
    for number, one in enumerate(sound, 1):
        lines = [f"Kind: {one.key.kind}"]
        lines += [f"Source: {one.passage.number}"] if one.passage else []
        lines += [one.question, *(f"{place}. {choice}" for place, choice in enumerate(one.key.choices, 1))]
        data.append(blocks.block(f"question_{number}", "\n".join(lines)))
    return [
        {"role": "system", "content": parts["system"]},
        {"role": "user", "content": "\n\n".join([blocks.rule(), *data, parts["request"]])},
    ]


def _source(blocks: DataBlocks, passage: Passage) -> str:
    return blocks.block(f"source_{passage.number}", f"Source {passage.number}: {passage.title}\n\n{passage.text}")

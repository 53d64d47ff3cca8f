"""Makes a document of a model's answer: checked, cleaned and released paragraph by paragraph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from functions.headstart.assignment import Task
from functions.headstart.schemas import Extra, Headstart
from functions.headstart.timing import suggested_blocks
from functions.shared.leaks.errors import AnswerLeak
from functions.shared.leaks.guard import LeakGuard
from functions.shared.leaks.opinion import SecondOpinion
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message, ModelClient
from functions.shared.llm.errors import InvalidResponse
from functions.shared.llm.field import FieldStream
from functions.shared.llm.prompts import DataBlocks, Prompt, load_prompt
from functions.shared.llm.structured import Wanted, write
from functions.shared.markup.markdown import ends_of_blocks, is_readable, is_safe_url, markdown_to_html, safe_markdown
from functions.shared.markup.text import VisibleStream, visible

MAX_CONTENT_CHARACTERS = 100_000
MAX_LINE_CHARACTERS = 500
MAX_ENTRIES = 12

Release = Callable[[Sequence[str]], None]


def prompt() -> Prompt:
    """The prompt files beside this module."""
    return load_prompt(Path(__file__).parent / "prompts")


class Paragraphs:
    """Turns pieces of raw text into complete, checked paragraphs and releases them.

    :param release: gets each batch of paragraphs; joined, they are exactly the text
    :param opinion: is asked about the whole text; nothing is released before
    :param carried: paragraphs that an earlier answer released
    """

    def __init__(
        self,
        guard: LeakGuard,
        urls: frozenset[str],
        release: Release,
        opinion: SecondOpinion | None = None,
        carried: Sequence[str] = (),
    ) -> None:
        self._guard = guard
        self._urls = urls
        self._release = release
        self._opinion = opinion
        self._visible = VisibleStream()
        self._waiting = ""
        self._next_look = 0
        self._length = sum(map(len, carried))
        self.checked, self.released = list(carried), list(carried)
        for paragraph in carried:
            # they passed before; the guard reads the next one together with them
            guard.check(paragraph)

    def feed(self, text: str) -> None:
        """Adds a piece of text, and releases the paragraphs that are complete.

        :raise AnswerLeak: the next paragraph must not be shown
        :raise InvalidResponse: the text is longer than a document
        """
        text = self._visible.feed(text)
        self._waiting += text
        if "\n" in text and len(self._waiting) >= self._next_look:
            self._look(ends_of_blocks(self._readable()))

    def finish(self) -> None:
        """Releases the rest.

        :raise AnswerLeak: it must not be shown
        :raise InvalidResponse: the text is longer than a document
        """
        rest = self._readable()
        self._look([*ends_of_blocks(rest), len(rest)] if rest else [])

    def _readable(self) -> str:
        if len(self._waiting) > MAX_CONTENT_CHARACTERS or not is_readable(self._waiting):
            raise InvalidResponse("The model's answer is too long. Try again.")
        return self._waiting

    def _look(self, ends: Sequence[int]) -> None:
        """Releases up to these indexes. Where nothing has ended, a long paragraph is not read again for each word."""
        finished = [self._waiting[start:end] for start, end in pairwise([0, *ends])]
        self._waiting = self._waiting[ends[-1] if ends else 0 :]
        self._next_look = 0 if ends else len(self._waiting) * 5 // 4
        self._give(finished)

    def _give(self, paragraphs: list[str]) -> None:
        safe: list[str] = []
        try:
            for paragraph in paragraphs:
                clean = safe_markdown(paragraph, self._urls)
                self._guard.check(clean)
                self._length += len(clean)
                if self._length > MAX_CONTENT_CHARACTERS:
                    raise InvalidResponse("The model's answer is too long. Try again.")
                if clean:
                    safe.append(clean)
        finally:
            # the paragraphs before a refused one passed the guard
            self.checked += safe
            if self._opinion is None:
                self._release_checked()

    def approve(self, more: Sequence[str]) -> None:
        """Asks for the second opinion, if there is one, and releases what waited for it.

        :param more: titles, steps and questions, which belong to the text
        :raise AnswerLeak: the text must not be shown
        """
        if self._opinion is not None:
            self._opinion.check("\n".join(["".join(self.checked), *more]))
            self._release_checked()

    def _release_checked(self) -> None:
        new = self.checked[len(self.released) :]
        if new:
            self.released += new
            self._release(new)


class Writer:
    """Writes one headstart within a budget."""

    def __init__(
        self, client: ModelClient, task: Task, budget: Budget, release: Release, *, has_second_opinion: bool = False
    ) -> None:
        self._client = client
        self._task = task
        self._budget = budget
        self._release = release
        self._opinion = SecondOpinion(client.uninstructed(), task.text, budget) if has_second_opinion else None
        self._prompt = prompt()
        self._carried: tuple[str, ...] = ()
        self._fresh()

    def _fresh(self) -> None:
        self._guard = LeakGuard(self._task.solutions, self._task.given)
        self._field = FieldStream("content_md")
        self._paragraphs = Paragraphs(self._guard, self._task.urls, self._release, self._opinion, self._carried)
        self._is_text_released = False

    def write(self, now: datetime) -> tuple[dict[str, Any], str]:
        """The document's fields for ``svc_end_headstart_run``, and the parse path.

        :raise ModelError: there is no headstart; the code says why
        """
        try:
            return self._document(*self._answer(self._messages("user")), now)
        except AnswerLeak:
            # one more call, and a second opinion of it: what the student reads stays, and a second leak ends the run
            if self._budget.calls_left < (1 if self._opinion is None else 2):
                raise
        if self._is_text_released:
            extra, path = self._rest()
        else:
            self._carried = tuple(self._paragraphs.released)
            self._fresh()
            extra, path = self._answer(self._messages("again", written="".join(self._carried)))
        return self._document(extra, f"{path}+leak", now)

    def _answer(self, messages: list[Message]) -> tuple[Extra, str]:
        """One answer, whose text is released while it is written."""
        wanted = Wanted("headstart", Headstart, messages, self._take, self._may_repeat)
        try:
            answer, path = write(self._client, wanted, self._budget)
        except InvalidResponse:
            is_begun = len(self._paragraphs.checked) > len(self._carried)
            if not (self._field.complete and is_begun and self._budget.calls_left):
                raise
            return self._rest()
        if self._field.text != answer.content_md:
            # another object counts than the one that was followed, which was a draft or a thought
            if self._has_released():
                raise InvalidResponse
            self._fresh()
            self._paragraphs.feed(answer.content_md)
        self._finish()
        return Extra.model_validate(answer.model_dump()), path

    def _rest(self) -> tuple[Extra, str]:
        """Makes one more call for the other fields: the text passed, but they are unusable."""
        self._finish()
        messages = self._messages("rest", written="".join(self._paragraphs.checked))
        extra, path = write(self._client, Wanted("headstart_rest", Extra, messages), self._budget)
        return extra, f"{path}+rest"

    def _messages(self, part: str, **data: str) -> list[Message]:
        blocks = DataBlocks()
        material = [(source.kind, f"{source.title}\n\n{source.text}") for source in self._task.material]
        marked = [blocks.block(*one) for one in (("assignment", self._task.text), *material, *data.items())]
        return [
            {"role": "system", "content": self._prompt.parts["system"]},
            {"role": "user", "content": "\n\n".join([self._prompt.parts[part], blocks.rule(), *marked])},
        ]

    def _finish(self) -> None:
        self._paragraphs.finish()
        self._is_text_released = self._opinion is None

    def _has_released(self) -> bool:
        return len(self._paragraphs.released) > len(self._carried)

    def _take(self, text: str) -> None:
        grown = self._field.feed(text)
        if grown:
            self._paragraphs.feed(grown)
        if self._field.complete:
            self._finish()

    def _may_repeat(self) -> bool:
        """Only while nothing was released, because a model does not write the same text twice."""
        if self._has_released():
            return False
        self._fresh()
        return True

    def _document(self, extra: Extra, path: str, now: datetime) -> tuple[dict[str, Any], str]:
        urls = self._task.urls
        content = "".join(self._paragraphs.checked)
        if not content.strip():
            raise InvalidResponse
        minutes = min(max(extra.time_estimate_minutes, 5), 6000)
        title, summary = self._line(extra.title, 200), self._line(extra.summary, 2000)
        fields: dict[str, list[Any]] = {
            "plan": [
                {"step": self._line(one.step), "minutes": min(max(one.minutes, 1), 6000)}
                for one in extra.plan[:MAX_ENTRIES]
            ],
            "key_concepts": self._lines(extra.key_concepts),
            "questions": self._lines(extra.questions),
            "resources": [
                {"title": self._line(one.title), "url": one.url}
                for one in extra.resources[:MAX_ENTRIES]
                if is_safe_url(one.url, urls)
            ],
        }
        shown = [title, summary, *fields["key_concepts"], *fields["questions"]]
        shown += [one["step"] for one in fields["plan"]] + [one["title"] for one in fields["resources"]]
        self._guard.check_short(shown)
        self._paragraphs.approve(shown)
        task = self._task
        # the student knows better than the model how long it takes them
        work = task.effort_minutes or minutes
        blocks = suggested_blocks(work, task.due_at, now, task.time_zone, task.times)
        return {
            "title": title or f"Headstart: {self._task.title}"[:200],
            "content_md": content,
            "content_html": markdown_to_html(content, urls),
            "summary": summary,
            "extra": {
                **fields,
                "time_estimate_minutes": minutes,
                "suggested_blocks": blocks,
                "sources": [source.entry() for source in task.material],
            },
        }, path

    def _line(self, text: str, most: int = MAX_LINE_CHARACTERS) -> str:
        return " ".join(safe_markdown(visible(text), self._task.urls).split())[:most].strip()

    def _lines(self, texts: Sequence[str]) -> list[str]:
        lines = [self._line(text) for text in texts[:MAX_ENTRIES]]
        return [line for line in lines if line]

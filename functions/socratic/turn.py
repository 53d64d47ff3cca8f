"""One turn of the agent: held back until it is whole and checked, so that nobody reads what may not be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from functions.shared.answers.run import TextFilter
from functions.shared.leaks.words import languages
from functions.shared.markup.markdown import is_readable, safe_markdown
from functions.shared.markup.text import visible
from functions.socratic.checking import Checker, first_question_only
from functions.socratic.safe import safe_question

MAX_DRAFT_CHARACTERS = 20_000
MAX_DRAFTS = 2


class Turn(TextFilter):
    """Holds the drafts of a turn and releases the one that passes, else a safe question.

    The third text is no draft: it is a safe question in the learner's language.

    :param number: how many turns the agent has had before
    """

    def __init__(self, checker: Checker, number: int) -> None:
        self._checker = checker
        self._number = number
        self._drafts = [""]
        self._faults: list[str] = []
        self._is_safe_question = False

    def feed(self, text: str) -> str:
        """Keeps text of the current draft; nothing is shown before all of it is checked."""
        self._drafts[-1] = (self._drafts[-1] + text)[: MAX_DRAFT_CHARACTERS + 1]
        return ""

    def begin_repair(self) -> tuple[str, list[str]]:
        """The draft and its faults. With faults, what is fed from now on is a second draft."""
        draft = clean(self._drafts[-1])
        faults = self._checker.faults(draft)
        if faults:
            self._faults = faults
            self._drafts.append("")
        return draft, faults

    def begin_safe_question(self) -> str | None:
        """The question to put into the learner's language, which is fed from now on; None when a draft may be shown."""
        if len(self._drafts) != MAX_DRAFTS or self._passing(self._drafts):
            return None
        self._drafts.append("")
        return safe_question(languages()["en"], self._number)

    @property
    def drafts(self) -> int:
        """How many texts there are, the one that is being written included."""
        return len(self._drafts)

    def finish(self) -> str:
        """The newest draft that passes, one cut after its first question, or a safe question; then nothing."""
        if not self._drafts:
            return ""
        texts, self._drafts = self._drafts, []
        passing = self._passing(texts[:MAX_DRAFTS])
        if passing:
            return passing
        self._is_safe_question = True
        for text in map(clean, texts[MAX_DRAFTS:]):
            if self._checker.may_replace(text):
                return text
        return safe_question(self._checker.language, self._number)

    def _passing(self, drafts: Sequence[str]) -> str | None:
        for draft in map(clean, reversed(drafts)):
            for text in (draft, first_question_only(draft)):
                if text and not self._checker.faults(text):
                    return text
        return None

    def restart(self) -> None:
        """Forgets the drafts of a call that failed."""
        self._drafts = [""]

    def metrics(self) -> Mapping[str, Any]:
        """What was wrong with the first draft, and whether a safe question took the place of all drafts."""
        return {"faults": self._faults, "safe_question": self._is_safe_question}


def clean(draft: str) -> str:
    """A draft as it would be shown; empty when it cannot be read."""
    shown = visible(draft)
    if len(shown) > MAX_DRAFT_CHARACTERS or not is_readable(shown):
        return ""
    return safe_markdown(shown).strip()

"""Marks of thoughts that servers leave in a model's text, and what to show of such a text.

Some models mark the beginning and the end of their thoughts, some servers swallow the first mark, and some send both in
channels. The answer is what stands behind the last mark.
"""

from __future__ import annotations

import re

from functions.shared.llm.errors import InvalidResponse

NAMES = r"think|thinking|thought|thoughts|reasoning|reflection|seed:think"
OPEN = re.compile(
    rf"<(?:{NAMES})>|\[THINK(?:ING)?\]|<\|begin_of_thought\|>|◁think▷"
    r"|(?:<\|start\|>assistant)?<\|?channel\|?>\s*(?:analysis|commentary|thought)\b(?:<\|message\|>)?",
    re.IGNORECASE,
)
CLOSE = re.compile(
    rf"</(?:{NAMES})>|\[/THINK(?:ING)?\]|<\|end_of_thought\|>|◁/think▷"
    r"|(?:<\|start\|>assistant)?<\|?channel\|?>\s*final\b(?:<\|message\|>)?|<channel\|>",
    re.IGNORECASE,
)
MAX_MARK_CHARACTERS = 60
FIRST = "<[◁"
# a mark that may still be on its way at the end of a text
UNFINISHED = re.compile(r"[<\[◁][^<\[◁\n]{0,59}\Z")


def behind_thoughts(text: str) -> str | None:
    """The text behind thoughts that stand at its beginning. None while they go on, or a first mark is unfinished."""
    while True:
        text = text.lstrip("\ufeff \t\r\n")
        mark = OPEN.match(text)
        if mark is None:
            unfinished = UNFINISHED.match(text)
            return None if unfinished and _may_open(text) else text
        end = CLOSE.search(text, mark.end())
        if end is None:
            return None
        text = text[end.end() :]


def _may_open(text: str) -> bool:
    """Whether a short text may be the beginning of a mark."""
    starts = ("<think", "<reason", "<reflec", "<seed:", "[think", "<|begin", "<|start", "<|chan", "<chan", "◁think")
    low = text.lower()
    return any(low.startswith(start[: len(low)]) for start in starts)


class ThoughtFilter:
    """Lets prose through while it arrives, without the thoughts before it.

    :param holds: nothing is released before a closing mark or the end, because this server swallows the first mark
    """

    def __init__(self, *, holds: bool = False) -> None:
        self._holds = holds
        self._waiting: list[str] = []
        self._tail = ""
        self._begun = False
        self.met_stray_mark = False
        self._size = 0
        self._next_look = 0

    def feed(self, text: str) -> str:
        """The text that may be shown now.

        :raise InvalidResponse: a closing mark came behind released text, so the text was thoughts
        """
        if self._begun:
            return self._checked(text)
        self._waiting.append(text)
        self._size += len(text)
        if self._size < self._next_look:
            # looking at all of it for each word would be quadratic
            return ""
        self._next_look = self._size * 5 // 4 if self._size > 1000 else 0
        return self._begin(final=False)

    def finish(self) -> str:
        """The rest, when the model has come to an end.

        :raise InvalidResponse: the thoughts never ended
        """
        if not self._begun:
            rest = self._begin(final=True)
            if not self._begun:
                raise InvalidResponse
            return rest + self.finish()
        return self.rest()

    def rest(self) -> str:
        """What waits behind the text that was let through, because it might have become a mark."""
        rest, self._tail = self._tail, ""
        return rest

    def _begin(self, *, final: bool) -> str:
        whole = "".join(self._waiting)
        if self._holds:
            closings = [mark.end() for mark in CLOSE.finditer(whole)]
            if not closings and not final:
                return ""
            whole = whole[closings[-1] :] if closings else whole
        rest = behind_thoughts(whole)
        if rest is None and final and OPEN.match(whole.lstrip()) is None:
            rest = whole
        if rest is None or not (rest or final):
            return ""
        self._begun = True
        self._waiting.clear()
        return self._checked(rest)

    def _checked(self, text: str) -> str:
        text = self._tail + text
        if CLOSE.search(text):
            self.met_stray_mark = True
            raise InvalidResponse
        unfinished = UNFINISHED.search(text, max(0, len(text) - MAX_MARK_CHARACTERS))
        cut = unfinished.start() if unfinished else len(text)
        self._tail = text[cut:]
        return text[:cut]

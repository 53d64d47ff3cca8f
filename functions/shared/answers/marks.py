"""Reads the marks in a model's text while it is written: citations and the conversation's title.

A model cites as ``[2: "the exact words"]``. When these words stand in source 2, readers see ``[1]``, the number of the
citation; when not, they see nothing. A last line ``[title: ...]`` names the conversation, and a service may ask for
other marks of this form, which readers do not see either. All other text stays.
One thing is escaped: ``![`` becomes ``\\![``. A front end would load an image's address, and whoever wrote it into a
source would learn what was asked. Fenced code keeps even that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from functions.shared.answers.citations import Passage, is_verbatim
from functions.shared.answers.run import TextFilter

MAX_MARK_CHARACTERS = 1000
MAX_TITLE_CHARACTERS = 100
# only a fence that is not indented: an indented one may belong to a list, and end where it does not seem to
FENCE = re.compile(r"(`{3,}|~{3,})(?P<info>.*)")
CLOSING = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*")
NUMBER = re.compile(r"\[[ \t]*(\d{1,4})")
QUOTE_BEGINS = re.compile(r"[ \t]*[:,]?[ \t]*[\"\u201c\u201d\u201e\u00ab\u2018']")
QUOTE_ENDS = re.compile(r"[\"\u201c\u201d\u00bb\u2019'][ \t]*\]")
SPECIAL = re.compile(r"[\[!\s]")
MAX_SPACE_CHARACTERS = 200


class _Mark(NamedTuple):
    """What begins at a bracket. ``end`` is where it ends; 0 means that more text is needed, -1 that it is no mark.

    :param name: of a mark that says something about the answer, ``text`` being what it says
    """

    end: int
    number: int | None = None
    quote: str | None = None
    name: str | None = None
    text: str = ""


NOT_A_MARK, NEEDS_MORE = _Mark(-1), _Mark(0)


class MarkFilter(TextFilter):
    """Shows the model's text with checked citations.

    :param passages: what may be cited; without any, brackets with numbers are text
    :param wants_title: whether the model was asked for a title
    :param names: of other marks that the model was asked for; see :meth:`said`
    """

    def __init__(self, passages: Sequence[Passage], wants_title: bool, names: Sequence[str] = ()) -> None:
        self._passages = {passage.number: passage for passage in passages}
        self._names = (*names, "title") if wants_title else tuple(names)
        self._citations: dict[tuple[int, str], int] = {}
        self._newest: dict[int, int] = {}  # number of the newest citation by passage
        self._dropped = 0
        self._said: dict[str, str] = {}
        self._held = ""
        self._line: list[str] = []  # the pieces of the current line so far
        self._last = ""  # the last character that was passed
        self._backslashes = 0  # how many of them stand before
        self._fence: str | None = None

    def feed(self, text: str) -> str:
        """The text that may be shown now."""
        self._held += text
        return self._scan(is_last=False)

    def finish(self) -> str:
        """The rest. A mark that was cut off is left out."""
        rest = self._scan(is_last=True)
        self._line.clear()
        self._held = self._last = ""
        self._backslashes, self._fence = 0, None
        return rest

    def restart(self) -> None:
        """Forgets a call that failed, what it cited included."""
        self.finish()
        self._citations.clear()
        self._newest.clear()
        self._said.clear()
        self._dropped = 0

    def parts(self) -> Sequence[Mapping[str, Any]]:
        """A source for each citation, ``sourceId`` being its number."""
        found: list[Mapping[str, Any]] = []
        for (passage_number, _), number in self._citations.items():
            passage = self._passages[passage_number]
            known = {"sourceId": str(number), "title": passage.title}
            if passage.url:
                found.append({"type": "source-url", "url": passage.url, **known})
            else:
                found.append({"type": "source-document", "mediaType": passage.media_type, **known})
        return found

    def citations(self) -> Sequence[Mapping[str, Any]]:
        """Numbered as in the text."""
        return [
            {"number": number, **self._passages[passage].source, "quote": quote}
            for (passage, quote), number in self._citations.items()
        ]

    def metrics(self) -> Mapping[str, Any]:
        """How many citations were left out because their words do not stand in their source."""
        return {"citations": len(self._citations), "citations_dropped": self._dropped}

    def title(self) -> str | None:
        """The title, when the model gave one."""
        title = self.said("title")
        return None if title is None else title[:MAX_TITLE_CHARACTERS].strip()

    def said(self, name: str) -> str | None:
        """What the last mark of this name says; None without one."""
        return self._said.get(name)

    def cited(self) -> Sequence[Passage]:
        """The passages that are cited, each once, in the order of their first citation."""
        return [self._passages[number] for number in dict.fromkeys(number for number, _ in self._citations)]

    # ---- scanning ---------------------------------------------------------------------------------------------

    def _scan(self, is_last: bool) -> str:
        """Takes what is certain from the held text. At each turn, ``at`` is the first place that is not."""
        shown: list[str] = []
        text, at = self._held, 0
        while at < len(text):
            end = self._step(text, at, is_last, shown)
            if end == at:
                break
            at = end
        self._held = "" if is_last else text[at:]
        return "".join(shown)

    def _step(self, text: str, at: int, is_last: bool, shown: list[str]) -> int:
        """Takes one mark, one run of spaces or a piece of plain text; where it ended, ``at`` when more is needed."""
        special = SPECIAL.search(text, at)
        if special is None or special.start() > at:
            return self._show(text[at : special.start() if special else len(text)], at, shown)
        if self._fence is None and text[at] == "[":
            mark = self._mark(text, at, is_last)
            if mark is NEEDS_MORE:
                return at
            if mark is not NOT_A_MARK:
                self._replace(mark, shown)
                return mark.end
        elif self._fence is None and text[at] == "!":
            if at + 1 == len(text) and not is_last:
                return at
            # an odd number of backslashes has escaped it already
            if text[at + 1 : at + 2] == "[" and self._backslashes % 2 == 0:
                shown.append("\\")
        elif text[at].isspace():
            return self._space(text, at, is_last, shown)
        return self._show(text[at], at, shown)

    def _space(self, text: str, at: int, is_last: bool, shown: list[str]) -> int:
        """A run of spaces, which goes with the mark behind it when that is left out."""
        end = at
        while end < len(text) and text[end].isspace() and end - at < MAX_SPACE_CHARACTERS:
            end += 1
        if self._fence is None and (self._passages or self._names) and end - at < MAX_SPACE_CHARACTERS:
            if end == len(text) and not is_last:
                return at
            if text[end : end + 1] == "[":
                mark = self._mark(text, end, is_last)
                if mark is NEEDS_MORE:
                    return at
                if mark is not NOT_A_MARK and not self._is_kept(mark):
                    self._replace(mark, shown)
                    return mark.end
        return self._show(text[at:end], at, shown)

    def _show(self, piece: str, at: int, shown: list[str]) -> int:
        shown.append(piece)
        self._pass(piece)
        return at + len(piece)

    def _pass(self, piece: str) -> None:
        """Follows lines, and with them fences."""
        stripped = piece.rstrip("\\")
        self._backslashes = len(piece) - len(stripped) + (0 if stripped else self._backslashes)
        self._last = piece[-1:] or self._last
        *lines, rest = piece.split("\n")
        for line in lines:
            self._end_line("".join([*self._line, line]))
            self._line.clear()
        self._line.append(rest)

    def _end_line(self, line: str) -> None:
        if self._fence is None:
            opens = FENCE.fullmatch(line)
            if opens and not (opens[1][0] == "`" and "`" in opens["info"]):
                self._fence = opens[1]
        else:
            closes = CLOSING.fullmatch(line)
            if closes and closes[1][0] == self._fence[0] and len(closes[1]) >= len(self._fence):
                self._fence = None

    def _mark(self, text: str, at: int, is_last: bool) -> _Mark:
        """The mark that begins at a bracket."""
        unfinished = NOT_A_MARK if is_last else NEEDS_MORE
        rest = text[at : at + MAX_MARK_CHARACTERS + 1]
        for name in self._names:
            if f"[{name}:".startswith(rest[: len(name) + 2].lower()):
                mark = self._named_mark(name, rest, at, is_last)
                if mark is not NOT_A_MARK:
                    return mark
        before = text[at - 1] if at else self._last
        if not self._passages or before.isalnum() or before in ("`", "]", ")", "\\"):
            return NOT_A_MARK
        if not rest[1:].strip(" \t"):
            return unfinished
        number = NUMBER.match(rest)
        if number is None or int(number[1]) == 0:
            return NOT_A_MARK
        end = number.end()
        if end == len(rest):
            return unfinished
        if rest[end] == "]":
            if end + 1 == len(rest) and not is_last:
                return NEEDS_MORE
            return NOT_A_MARK if rest[end + 1 : end + 2] in ("(", ":") else _Mark(at + end + 1, int(number[1]))
        begins = QUOTE_BEGINS.match(rest, end)
        if begins is None:
            return unfinished if not rest[end:].strip(" \t:,") else NOT_A_MARK
        ends = QUOTE_ENDS.search(rest, begins.end())
        if ends:
            return _Mark(at + ends.end(), int(number[1]), rest[begins.end() : ends.start()])
        if len(rest) > MAX_MARK_CHARACTERS:
            return NOT_A_MARK
        # a citation that was cut off is no text
        return _Mark(len(text), int(number[1]), "") if is_last else NEEDS_MORE

    def _named_mark(self, name: str, rest: str, at: int, is_last: bool) -> _Mark:
        line, begins = rest.partition("\n")[0], len(name) + 2
        end = line.find("]")
        if end >= 0:
            return _Mark(at + end + 1, name=name, text=line[begins:end])
        if is_last and len(rest) > begins:
            return _Mark(at + len(rest), name=name)
        return NOT_A_MARK if is_last or len(line) < len(rest) or len(rest) > MAX_MARK_CHARACTERS else NEEDS_MORE

    def _is_kept(self, mark: _Mark) -> bool:
        """Whether readers see something of it."""
        passage = self._passages.get(mark.number or 0)
        if passage is None:
            return False
        if mark.quote is None:
            return passage.number in self._newest
        return is_verbatim(mark.quote, passage.text)

    def _replace(self, mark: _Mark, shown: list[str]) -> None:
        if mark.name is not None:
            said = " ".join(mark.text.split())
            if said:
                self._said[mark.name] = said
            return
        if not self._is_kept(mark):
            self._dropped += 1
            return
        number = mark.number or 0
        if mark.quote is not None:
            quote = " ".join(mark.quote.split())
            self._newest[number] = self._citations.setdefault((number, quote), len(self._citations) + 1)
        self._show(f"[{self._newest[number]}]", 0, shown)

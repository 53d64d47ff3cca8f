r"""Puts back LaTeX commands that JSON took for escapes.

A model that writes ``"\frac"`` with one backslash means the command, and JSON reads a form feed and ``rac``. What
cannot have been meant is put back: a form feed, backspace or carriage return before the rest of a known command, and
inside formulas also a tab or a line break.
"""

from __future__ import annotations

import re

COMMANDS = {
    "\b": "beta begin bar big bigcap bigcup bigg binom bmod bm boldsymbol bot bowtie boxed bullet because between "
    "backslash bra brace bf biggl biggr bigl bigr bigoplus bigotimes bigwedge bigvee breve",
    "\f": "frac forall flat frown fbox footnotesize frak fcolorbox fint",
    "\r": "rho right rightarrow rangle rceil rfloor rm rvert rVert rbrace rbrack root rightharpoonup rightleftharpoons "
    "risingdotseq rtimes rmoustache ref raisebox rbrace real",
    "\t": "times theta tau text textbf textit textrm textsf texttt textstyle tan tanh to top triangle triangleq "
    "trianglelefteq tfrac therefore tilde tbinom tag thinspace thickapprox thicksim twoheadrightarrow",
    "\n": "nu ne neq neg nabla ni not notin nleq ngeq nmid nparallel nsubseteq nsupseteq nexists natural nearrow ncong "
    "nsim nless ngtr nolimits nonumber nrightarrow nleftarrow nRightarrow nLeftarrow nwarrow nprec nsucc normalsize",
}
LETTER = {"\b": "b", "\f": "f", "\r": "r", "\t": "t", "\n": "n"}
RESTS = {mark: frozenset(name[1:] for name in names.split()) for mark, names in COMMANDS.items()}
ANYWHERE = frozenset("\b\f\r")
TOKEN = re.compile(r"\\[^A-Za-z]|\$\$?|\n[ \t]*\n|[\b\f\r\t\n][A-Za-z]*")
# what may become another token when more text arrives
UNFINISHED = re.compile(r"(?:\\{1,26}|\${1,26}|\n[ \t]*\n?|[\b\f\r\t\n][A-Za-z]{0,24})\Z")
MAX_TOKEN_CHARACTERS = 26
CLOSED_BY = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}


class LatexStream:
    """Puts commands back in a text that arrives in pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._formula: str | None = None

    def feed(self, text: str) -> str:
        """The text that is certain now."""
        text = self._held + text
        end = UNFINISHED.search(text, max(0, len(text) - MAX_TOKEN_CHARACTERS))
        cut = end.start() if end else len(text)
        self._held = text[cut:]
        return TOKEN.sub(self._token, text[:cut])

    def finish(self) -> str:
        """The rest."""
        text, self._held = self._held, ""
        return TOKEN.sub(self._token, text)

    def _token(self, match: re.Match[str]) -> str:
        token = match.group()
        first, rest = token[0], token[1:]
        if first in LETTER and rest in RESTS[first] and (first in ANYWHERE or self._formula):
            return f"\\{LETTER[first]}{rest}"
        if token[0] == "\n" and token[-1] == "\n" and len(token) > 1:
            # a formula does not go on behind a blank line
            self._formula = None
        elif self._formula is None:
            self._formula = token if token in CLOSED_BY else None
        elif token == CLOSED_BY[self._formula]:
            self._formula = None
        return token


def with_commands(text: str) -> str:
    """A whole text with its commands put back."""
    stream = LatexStream()
    return stream.feed(text) + stream.finish()

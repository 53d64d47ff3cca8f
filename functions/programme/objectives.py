"""Whether a learning objective names something that can be observed.

The rule holds in every language: the model names the verb, the verb stands in the sentence, and it is none of the verbs
that nobody can observe. Those are data: ``words/vague_verbs.txt``.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from pathlib import Path

MAX_VERB_CHARACTERS = 60
FILE = Path(__file__).parent / "words" / "vague_verbs.txt"
# scripts that write words without spaces between them, or join endings to them
UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def is_measurable(verb: str, objective: str) -> bool:
    """Whether the objective's verb is one that others can observe, and stands before any other verb that is not.

    :param verb: as it stands in the objective
    """
    said, whole = _folded(verb), _folded(objective)
    place = whole.find(said)
    if place < 0 or not any(character.isalpha() for character in said) or len(said) > MAX_VERB_CHARACTERS:
        return False
    return not _vague().search(said) and not _vague().search(whole, 0, place)


@functools.cache
def _vague() -> re.Pattern[str]:
    """Finds a verb of the list."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    verbs = {_folded(verb) for line in lines for verb in line.partition(":")[2].split(",")}
    spaced = "|".join(sorted(re.escape(verb) for verb in verbs if not UNSPACED.search(verb)))
    unspaced = "|".join(sorted(re.escape(verb) for verb in verbs if UNSPACED.search(verb)))
    return re.compile(rf"(?<!\w)(?:{spaced})(?!\w)|{unspaced}")


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())

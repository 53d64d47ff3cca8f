"""What of a student's own material speaks to a question: fragments that an answer may cite, and evidence about them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postgrest import SyncPostgrestClient

from functions.shared.answers.citations import Passage
from functions.shared.clock import Clock
from functions.shared.database import rpc
from functions.shared.leaks.words import folded, language_of
from functions.shared.llm.embeddings import query_vector
from functions.shared.llm.usage import estimated_tokens
from functions.shared.markup.text import visible
from functions.shared.settings import Settings

MAX_FRAGMENTS = 8
# the search reads no more of it
MAX_SEARCHED_CHARACTERS = 2000
SENTENCE = re.compile(r"(?<=[.!?;:\u3002\uff01\uff1f])\s+")
WORD = re.compile(r"[^\W_]+")
MIN_NAME_CHARACTERS = 4
STEM_CHARACTERS = 5
# words that ask and name nothing; leading verbs such as "explain" are known in every language of the leak guard
ASKING = frozenset(
    word
    for words in (
        "anyone anything call called come comes define definition describe differ differs difference different",
        "example examples exactly explain give given happen happened happens help idea kind kinds know let like list",
        "main make mean meaning means much mention mentioned mentions name named need new please really say says see",
        "show tell term text thing things type understand use used uses using want way word work works write",
    )
    for word in words.split()
)


@dataclass(frozen=True)
class Term:
    """A word of the question as the search counts it.

    :param fragments: in how many of the student's fragments it stands
    :param chunk_ids: in which of the fragments that were found
    """

    fragments: int
    chunk_ids: Collection[str]


@dataclass(frozen=True)
class Evidence:
    """What is known about a question before any model is asked.

    :param total: how many fragments the student has
    :param scores: of the fragments found, best first
    :param names_subject: whether the question names one of the student's subjects
    :param is_searched: False when the search failed
    """

    terms: Sequence[Term]
    total: int
    scores: Sequence[float]
    names_subject: bool = False
    is_searched: bool = True

    def weight(self, term: Term) -> float:
        """How much a word says: rare words say more, and those that nobody wrote say most."""
        return math.log(1 + (self.total - term.fragments + 0.5) / (term.fragments + 0.5))

    def share(self, chunk_ids: Collection[str] | None = None) -> float:
        """Which part of the question these fragments speak of, all of the student's when none are named; 0 to 1."""
        whole = sum(map(self.weight, self.terms))
        found = [
            self.weight(term)
            for term in self.terms
            if (term.fragments if chunk_ids is None else any(one in chunk_ids for one in term.chunk_ids))
        ]
        return sum(found) / whole if whole else 0.0


@dataclass(frozen=True)
class Retrieved:
    """The fragments as the model reads them, numbered from 1, and the evidence."""

    passages: Sequence[Passage]
    evidence: Evidence


def retrieve(
    settings: Settings,
    service: SyncPostgrestClient,
    clock: Clock,
    user_id: str,
    question: str,
    *,
    courses: Sequence[str] = (),
    subjects: Sequence[str] = (),
    max_tokens: int = 8000,
) -> Retrieved:
    """Searches the person's own material as ``POST /search`` does. Without material there are no passages.

    :param courses: of the catalogue; none means all material
    :param subjects: names of the student's subjects
    :param max_tokens: how long the passages may be together
    """
    words = searched(question)
    given = {"p_user_id": user_id, "p_catalog_course_ids": list(courses) or None}
    query = {"p_query": words, "p_limit": MAX_FRAGMENTS, **query_vector(settings, service, clock, user_id, words)}
    rows = list(rpc(service, "svc_search_material", {**given, **query}, safe=True))
    left, kept = max_tokens, []
    for row in rows:
        left -= estimated_tokens(row["content"])
        if left < 0:
            break
        kept.append(row)
    args = {**given, "p_words": telling(words), "p_chunk_ids": [row["chunk_id"] for row in kept]}
    terms = rpc(service, "svc_question_terms", args, safe=True)
    evidence = Evidence(
        terms=[Term(int(row["fragments"]), frozenset(row["chunk_ids"])) for row in terms],
        total=int(terms[0]["total"] or 0) if terms else 0,
        scores=[float(row["score"]) for row in kept],
        names_subject=names_one(question, subjects),
    )
    return Retrieved([_passage(number, row) for number, row in enumerate(kept, 1)], evidence)


def _passage(number: int, row: Mapping[str, Any]) -> Passage:
    second = row["start_second"]
    source = {
        "kind": row["kind"],
        "source_id": row["source_id"],
        "chunk_id": row["chunk_id"],
        "page_start": row["page_start"],
        "start_second": None if second is None else float(second),
    }
    return Passage(number, row["title"], visible(row["content"]), source)


def searched(question: str) -> str:
    """The question for the search: quotation marks and minus signs of a sentence are no operators."""
    text = visible(question).replace('"', " ")
    return re.sub(r"(?:(?<=\s)|^)-+(?=\S)", "", text)[:MAX_SEARCHED_CHARACTERS]


def telling(words: str) -> str:
    """The words that say what a question is about, without those that ask."""
    imperative = language_of(words).imperative
    kept = []
    for sentence in SENTENCE.split(words):
        found = imperative.match(folded(sentence))
        # folding keeps the length of nearly every text; where it does not, nothing is cut
        rest = sentence[found.end() :] if found and len(folded(sentence)) == len(sentence) else sentence
        kept.append(WORD.sub(lambda word: "" if folded(word[0]) in ASKING else word[0], rest))
    return " ".join(kept)


def names_one(question: str, subjects: Sequence[str]) -> bool:
    """Whether the question names one of these subjects, in any form of its words."""
    said = {folded(word)[:STEM_CHARACTERS] for word in WORD.findall(question)}
    names = {
        folded(word)[:STEM_CHARACTERS]
        for subject in subjects
        for word in WORD.findall(subject)
        if len(word) >= MIN_NAME_CHARACTERS
    }
    return not said.isdisjoint(names)

"""What code decides about a model's texts, without a stack: verbs, lengths, sources, links."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from functions.programme.brand import Claim, Package, Post, assets, judged
from functions.programme.channels import CHANNELS, clusters, fits
from functions.programme.facts import Fact
from functions.programme.links import checked
from functions.programme.notes import CloNotes
from functions.programme.objectives import is_measurable
from functions.shared.clock import SystemClock
from functions.shared.fetch import Fetcher


@pytest.mark.parametrize(
    ("verb", "objective"),
    [
        ("Explain", "Explain how to understand a loop."),
        ("implement", "The learner can implement a queue."),
        ("erklären", "Die Lernenden können Schleifen erklären."),
        ("Beschreiben", "Beschreiben, warum man Rekursion verstehen muss."),
        ("analyser", "Savoir analyser un texte."),
        ("értékelni", "Két megoldást értékelni tud."),
        ("説明", "再帰を説明できる。"),
        ("समझाना", "लूप को समझाना"),
        ("rysować", "Umie rysować wykres."),
    ],
)
def test_an_observable_verb_passes(verb: str, objective: str) -> None:
    assert is_measurable(verb, objective)


@pytest.mark.parametrize(
    ("verb", "objective"),
    [
        ("understand", "Understand loops."),
        ("Explain", "Understand loops."),
        ("explain", "Understand and explain loops."),
        ("become familiar", "Become familiar with loops"),
        ("verstehen", "Schleifen verstehen"),
        ("comprendre", "Comprendre les boucles"),
        ("понимать", "Понимать циклы"),
        ("理解", "理解循环"),
        ("이해", "반복문을 이해한다"),
        ("समझना", "लूप को समझना"),
        ("", "Explain loops."),
        ("42", "Do 42 loops."),
    ],
)
def test_a_verb_that_nobody_can_observe_does_not(verb: str, objective: str) -> None:
    assert not is_measurable(verb, objective)


def test_notes_without_an_observable_objective_are_refused() -> None:
    notes = {
        "module_title": "x", "overview": "", "key_concepts": [], "prerequisites": [], "resources": [],
        "assessment_criteria": [], "estimated_minutes": "90 min",
        "learning_objectives": [{"verb": "know", "text": "Know loops."}],
    }  # fmt: skip
    with pytest.raises(ValueError, match="observable"):
        CloNotes.model_validate(notes)
    notes["learning_objectives"] = [{"verb": "Draw", "text": "Draw a loop."}]
    assert CloNotes.model_validate(notes).estimated_minutes == 90


FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
FLAG = "\U0001f1e9\U0001f1ea"
WAVE = "\U0001f44b\U0001f3fd"


@pytest.mark.parametrize(
    ("channel", "longest"),
    [
        ("x", "a" * 280),
        ("x", "e\u0301" * 280),
        ("x", "\u8a9e" * 140),
        ("x", FAMILY * 140),
        ("x", "a" * 256 + " https://example.org/" + "b" * 100),
        ("bluesky", "a" * 300),
        ("bluesky", FAMILY * 50 + FLAG * 50 + WAVE * 50 + "e\u0301" * 150),
        ("threads", "a" * 500),
        ("threads", FLAG * 62 + "abcd"),
        ("mastodon", "a" * 476 + " https://example.org/" + "b" * 100),
        ("instagram", "a" * 2200),
        ("linkedin", "\U0001f44b" * 1500),
    ],
)
def test_the_longest_post_fits_and_one_more_character_does_not(channel: str, longest: str) -> None:
    assert fits(channel, longest)
    # in front, because a letter behind an address would belong to it
    assert not fits(channel, "aaaa" + longest)
    assert not fits(channel, " ")


def test_lengths_are_counted_as_the_channels_say() -> None:
    lengths = {name: channel.length(f"Hi {FAMILY} \u8a9e") for name, channel in CHANNELS.items()}
    assert lengths == {"x": 8, "bluesky": 6, "threads": 30, "mastodon": 12, "instagram": 16, "linkedin": 16}
    assert len(clusters(f"{FAMILY}{FLAG}{FLAG}{WAVE}e\u0301\r\n1\ufe0f\u20e3")) == 7
    assert CHANNELS["x"].length("go.dev") == 23
    assert CHANNELS["bluesky"].length("a" + "\u0301" * 2000) == 3000


FACTS = [
    Fact("weeks", "w", "Week 3, 2031-05-05 to 2031-05-11, active. Hours worked: 4.5. Done: 62 %."),
    Fact("reviews", "r", "Code review of a/b: score 80 of 100. main.py", ("https://github.com/a/b",)),
]


def package(*claims: tuple[str, list[int]], channel: str = "linkedin") -> dict[str, object]:
    posts = [Post.model_validate({"channel": channel, "text": text, "sources": of}) for text, of in claims]
    themes = [Claim(text=text, sources=of) for text, of in claims]
    answer = Package(
        content_themes=themes, posts=posts, voice=themes, engagement_strategies=[" a ", "a"], language="en"
    )
    return judged(answer, FACTS)


def test_what_a_package_says_comes_from_rows_of_the_week() -> None:
    kept = [
        ("I worked 4.50 hours in week 3.", [1]),
        ("My review scored 80: https://github.com/a/b.", [2]),
        ("I read main.py and 62 % is done.", [2, 1, 1]),
    ]
    dropped: list[tuple[str, list[int]]] = [
        ("I won a prize.", []),
        ("I won a prize.", [0]),
        ("I won a prize.", [3, -1]),
        ("I worked 45 hours.", [1]),
        ("I worked 4.5 hours.", [2]),
        ("It is \u0667 done", [1]),
        ("See https://github.com/a/b", [1]),
        ("See https://evil.test/a", [2]),
        ("See evil.test", [2]),
        (" ", [1]),
    ]
    found = package(*kept, *dropped)
    assert found["content_themes"] == [text for text, _ in kept]
    assert found["social_content_suggestions"] == [
        {"channel": "linkedin", "text": kept[0][0], "sources": [{"table": "weeks", "id": "w"}]},
        {"channel": "linkedin", "text": kept[1][0], "sources": [{"table": "reviews", "id": "r"}]},
        {
            "channel": "linkedin",
            "text": kept[2][0],
            "sources": [{"table": "reviews", "id": "r"}, {"table": "weeks", "id": "w"}],
        },
    ]
    assert found["brand_voice_analysis"] == " ".join(text for text, _ in kept)
    assert [claim["part"] for claim in found["sources"]] == ["content_themes"] * 3 + ["brand_voice"] * 3  # type: ignore[attr-defined]
    assert found["engagement_strategies"] == ["a"]
    assert package(("a" * 281, [1]), channel="x")["social_content_suggestions"] == []
    assert assets(FACTS) == [
        {"kind": "repository", "url": "https://github.com/a/b", "sources": [{"table": "reviews", "id": "r"}]}
    ]


class Pages(BaseHTTPRequestHandler):
    """``/page`` answers, ``/moved`` leads to it, everything else is missing."""

    def do_GET(self) -> None:
        status = {"/page": 200, "/moved": 302}.get(self.path, 404)
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if status == 302:
            self.send_header("Location", "/page")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def pages() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_only_links_that_answer_are_shown_with_what_was_seen() -> None:
    with pages() as site:
        urls = [f"{site}/page", f"{site}/moved", f"{site}/none", "https://127.0.0.1:1/", "", "ftp://example.org/a",
                f"{site}/page?{'q' * 65}", f"https://me@{site[7:]}/page"]  # fmt: skip
        found = checked(Fetcher(local=True), SystemClock(), [{"title": "t", "url": url, "why": "w"} for url in urls])
        assert [one["url"] for one in found] == [f"{site}/page", f"{site}/page", None, None, None, None, None, None]
        assert [one["check"] and one["check"]["outcome"] for one in found] == [
            "answers", "answers", "refuses", "unreachable", None, "not_allowed", "not_allowed", "not_allowed",
        ]  # fmt: skip
        assert found[2]["check"]["status"] == 404
        assert found[0]["check"]["media_type"] == "text/html"
        assert found[0]["check"]["checked_at"].endswith("Z")
        json.dumps(found)
        # in production this machine's own addresses are not asked
        (refused,) = checked(Fetcher(local=False), SystemClock(), [{"title": "t", "url": urls[0], "why": "w"}])
        assert (refused["url"], refused["check"]["outcome"]) == (None, "unreachable")

"""What the stand-in writes about a learner's week. Some of it is invented, as real models do, and must not be shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

PLANS = "You plan one week of learning"
TELLS = "You help a learner to tell others"
ADDRESS = re.compile(r"https?://[^\s\"()]+[^\s\".,()]")
ASIDE = re.compile(r" *\([^)]*\)")
CHANNELS = ("x", "bluesky", "threads", "mastodon", "instagram", "linkedin")
INVENTED_ADDRESS = "https://127.0.0.1:1/course"


def notes(blocks: Mapping[str, str]) -> dict[str, Any]:
    """Notes on the week that the blocks describe. One objective cannot be observed, and one address is invented."""
    focus = blocks.get("week", "").partition("Focus: ")[2].partition(". Hours")[0]
    focus = ASIDE.sub("", focus).strip() or "the week"
    found = [address for text in blocks.values() for address in ADDRESS.findall(text)]
    return {
        "module_title": f"A week with {focus}"[:200],
        "overview": "Written by the scripted stand-in for a language model.",
        "learning_objectives": [
            {"verb": "Explain", "text": f"Explain {focus} to somebody who has not seen it."},
            {"verb": "Compare", "text": "Compare two ways to the same result."},
            {"verb": "Understand", "text": f"Understand {focus}."},
        ],
        "key_concepts": [focus, "practice"],
        "prerequisites": ["What was done before"],
        "resources": [
            *({"title": "A page to read", "url": address, "why": "It was named."} for address in found[:2]),
            {"title": "A course that nobody has seen", "url": INVENTED_ADDRESS, "why": "It sounds right."},
        ],
        "assessment_criteria": ["The explanation needs no notes."],
        "estimated_minutes": 90,
    }


def package(blocks: Mapping[str, str]) -> dict[str, Any]:
    """A package out of the facts. Some of it is invented, names a fact that there is not, or is too long."""
    facts = {int(name.removeprefix("fact_")): text for name, text in blocks.items() if name.startswith("fact_")}
    sentences = {number: re.split(r"(?<=[.:;]) ", text)[0][:120] for number, text in facts.items()}
    told = [{"text": f"This week: {text}", "sources": [number]} for number, text in sentences.items()]
    invented = [
        {"text": "I won 3,177 prizes.", "sources": [min(facts, default=1)]},
        {"text": "Everybody was impressed.", "sources": [900 + len(facts)]},
        {"text": "See more at https://invented.invalid/me", "sources": [min(facts, default=1)]},
    ]
    posts = [{**claim, "channel": channel} for channel, claim in zip(CHANNELS, told * len(CHANNELS), strict=False)]
    return {
        "content_themes": [*told, *invented],
        "posts": [
            *posts,
            *({**claim, "channel": "linkedin"} for claim in invented),
            {"channel": "x", "text": "I kept going. " * 40, "sources": [min(facts, default=1)]},
        ],
        "voice": [*told[:1], *invented],
        "engagement_strategies": ["Answer every comment within a day."],
        "language": "en",
    }

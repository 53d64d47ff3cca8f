"""The handler of ``brand_package`` jobs: material with which a learner shows their week to others.

A model writes, and code decides what stays. Every theme, post and statement names the rows of the week that it comes
from. What names none is dropped, and what has a number or address that its rows do not have, and what is too long for
its channel. Numbers and assets are not asked of the model at all. The job may run twice and be killed at any line: it
writes one package, and deleting the week deletes the job.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from functions.programme.asking import READING_SHARE, ask, ending, lines, one_line
from functions.programme.channels import BARE_URL, CHANNELS, URL, fits
from functions.programme.facts import Fact, facts_of, own_week
from functions.shared.agents import assign_agent
from functions.shared.database import rpc, run
from functions.shared.jobs import JobContext
from functions.shared.llm.client import Message
from functions.shared.llm.errors import InvalidResponse
from functions.shared.llm.prompts import DataBlocks, Prompt, load_prompt
from functions.shared.llm.usage import estimated_tokens
from functions.shared.markup.text import visible

MAX_THEMES = 8
MAX_POSTS = 18
MAX_STRATEGIES = 8
MAX_ASSETS = 20
MAX_CLAIM_CHARACTERS = 500
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
ARABIC_POINT = "\u066b"
BLANK_LINES = re.compile(r"\n{3,}")


class Claim(BaseModel):
    """A text and the numbers of the facts that it comes from."""

    text: str
    sources: list[int]


class Post(BaseModel):
    """A post for a channel, and the numbers of the facts that it comes from."""

    channel: Literal["x", "bluesky", "threads", "mastodon", "instagram", "linkedin"]
    text: str
    sources: list[int]


class Package(BaseModel):
    """What the model is asked for."""

    content_themes: list[Claim]
    posts: list[Post]
    voice: list[Claim]
    engagement_strategies: list[str]
    language: str


def write_package(context: JobContext) -> Mapping[str, Any]:
    """Writes the package of the job's week. The result has its id, or says that the week is gone.

    :raise JobFailure: it could not be written
    """
    return ending(lambda: {"brand_package_id": _package(context)})


def _package(context: JobContext) -> Any:
    service = context.database.service()
    stored = run(service.from_("brand_packages").select("id").eq("job_id", context.job.job_id))
    if stored:
        # by an earlier attempt
        return stored[0]["id"]
    week = own_week(service, context.job.week_id, context.job.user_id)
    if week is None:
        return None
    agent = assign_agent(context, "brand")
    prompt = load_prompt(Path(__file__).parent / "prompts" / "brand")
    context.progress({"step": "reading"})
    facts = facts_of(service, week)
    mode = rpc(service, "svc_get_brand_mode", {"p_job_id": context.job.job_id}, safe=True)
    context.progress({"step": "writing"})
    room = int(context.settings.model_context_tokens * READING_SHARE)
    answer = ask(context, agent, "brand_package", Package, _messages(prompt, facts, mode, room))
    package = judged(answer, facts)
    if not (package["content_themes"] or package["social_content_suggestions"]):
        raise InvalidResponse()
    context.check_cancelled()
    args = {
        "p_job_id": context.job.job_id,
        "p_lease_token": context.job.lease_token,
        "p_package": {**package, "kpi_metrics": _kpis(service, week["id"]), "assets": assets(facts)},
        "p_model": agent.client(context.settings).model,
        "p_prompt_version": prompt.version,
    }
    return rpc(service, "svc_store_brand_package", args, safe=True)


def _messages(prompt: Prompt, facts: Sequence[Fact], mode: str | None, room: int) -> list[Message]:
    blocks = DataBlocks()
    told = [blocks.rule()]
    for number, fact in enumerate(facts, 1):
        room -= estimated_tokens(fact.text)
        if room < 0:
            break
        told.append(blocks.block(f"fact_{number}", fact.text))
    if mode:
        told.append(blocks.block("mode", visible(mode)))
    limits = ", ".join(f"{name} {channel.limit}" for name, channel in CHANNELS.items())
    request = prompt.parts["request"].replace("{limits}", limits)
    return [
        {"role": "system", "content": prompt.parts["system"]},
        {"role": "user", "content": "\n\n".join([*told, request])},
    ]


def judged(answer: Package, facts: Sequence[Fact]) -> dict[str, Any]:
    """What stays of an answer, as columns of ``brand_packages``."""
    themes, voice = _kept("content_themes", answer.content_themes, facts), _kept("brand_voice", answer.voice, facts)
    posts = []
    for post in answer.posts:
        text = BLANK_LINES.sub("\n\n", visible(post.text)).strip()
        named = sources_of(text, post.sources, facts)
        if named and fits(post.channel, text):
            posts.append({"channel": post.channel, "text": text, "sources": [fact.source for fact in named]})
    return {
        "content_themes": [claim["text"] for claim in themes[:MAX_THEMES]],
        "social_content_suggestions": posts[:MAX_POSTS],
        "brand_voice_analysis": " ".join(claim["text"] for claim in voice) or None,
        "engagement_strategies": lines(answer.engagement_strategies, MAX_STRATEGIES),
        "sources": themes[:MAX_THEMES] + voice,
    }


def _kept(part: str, claims: Sequence[Claim], facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """The claims that name their facts, each text once."""
    kept: dict[str, dict[str, Any]] = {}
    for claim in claims:
        text = one_line(claim.text, MAX_CLAIM_CHARACTERS)
        named = sources_of(text, claim.sources, facts)
        if named:
            kept.setdefault(text, {"part": part, "text": text, "sources": [fact.source for fact in named]})
    return list(kept.values())


def sources_of(text: str, numbers: Sequence[int], facts: Sequence[Fact]) -> list[Fact]:
    """The facts that a text names, each once; none when the text has a number or an address that they do not have."""
    named = [facts[number - 1] for number in dict.fromkeys(numbers) if 1 <= number <= len(facts)]
    known = "\n".join(fact.text for fact in named)
    urls = {url.rstrip("/") for fact in named for url in fact.urls}
    rest = text
    for url in URL.findall(text):
        if url.rstrip("/.,;:!?)") not in urls:
            return []
        rest = rest.replace(url, "")
    # names of files look like addresses
    has_address = any(address not in known for address in BARE_URL.findall(rest))
    return [] if not text.strip() or has_address or _numbers(rest) - _numbers(known) else named


def _numbers(text: str) -> set[str]:
    """The numbers of a text, in any script's digits: 4.50 and 4,5 are one."""
    plain = "".join(str(unicodedata.digit(one)) if one.isdigit() else one for one in text).replace(ARABIC_POINT, ".")
    found = (number.replace(",", ".") for number in NUMBER.findall(plain))
    return {number.rstrip("0").rstrip(".") if "." in number else number.lstrip("0") or "0" for number in found}


def _kpis(service: Any, week_id: str) -> dict[str, Any]:
    """The newest value of each number of the week, with its row."""
    query = service.from_("kpi_metrics").select("id,metric_name,current_value,target_value,unit,trend")
    rows = run(query.eq("week_id", week_id).order("recorded_at", desc=False))
    return {
        row["metric_name"]: {
            "value": row["current_value"],
            "target": row["target_value"],
            "unit": row["unit"],
            "trend": row["trend"],
            "sources": [{"table": "kpi_metrics", "id": row["id"]}],
        }
        for row in rows
    }


def assets(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """Public addresses that belong to the week: repositories that were read, resources that answered."""
    found: dict[str, dict[str, Any]] = {}
    for fact in facts:
        kind = "resource" if fact.table == "clo_notes" else "repository"
        for url in fact.urls:
            one = found.setdefault(url, {"kind": kind, "url": url, "sources": []})
            one["sources"].append(fact.source)
    return list(found.values())[:MAX_ASSETS]

"""What the stand-in writes: plausible, from the request alone, and the same for the same request."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

from tests.standins.model import material, practice, programme, reviewing, socratic

# the blocks of untrusted text in our prompts: <<token name>> ... <<token end>>
BLOCK = re.compile(r"<<([0-9a-f]{32}) ([a-z0-9_]+)>>\n(.*?)\n<<\1 end>>", re.DOTALL)
ASKED = re.compile(r"The (?:teacher|student) asks:")
WORD = re.compile(r"[A-Za-z][A-Za-z-]{5,}")
DULL = frozenset({"should", "please", "submit", "assignment", "points", "canvas", "course", "which", "there", "before"})


def blocks(messages: list[dict[str, Any]]) -> dict[str, str]:
    """The data blocks of a request by name, the last of each."""
    found: dict[str, str] = {}
    for message in messages:
        for _, name, text in BLOCK.findall(plain(message)):
            found[name] = text
    return found


def plain(message: dict[str, Any]) -> str:
    """A message's text; its content is a string or a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)


def answer(request: dict[str, Any]) -> str:
    """The whole answer to a chat request: JSON when a format was asked for, else prose."""
    messages = request.get("messages") or []
    form = request.get("response_format") or {}
    wants_json = form.get("type") in ("json_schema", "json_object")
    asked = "\n".join(plain(message) for message in messages)
    if '"contains_finished_work"' in asked:
        return json.dumps({"contains_finished_work": False})
    if programme.PLANS in asked:
        return json.dumps(programme.notes(blocks(messages)), ensure_ascii=False)
    if programme.TELLS in asked:
        return json.dumps(programme.package(blocks(messages)), ensure_ascii=False)
    if reviewing.asks_for_review(next((plain(one) for one in messages if one.get("role") == "system"), "")):
        task = BLOCK.sub("", next(plain(one) for one in reversed(messages) if one.get("role") == "user"))
        return json.dumps(reviewing.write(task, blocks(messages)), ensure_ascii=False)
    system = plain(messages[0]) if messages else ""
    if system.startswith("You lead a learner to find answers by asking"):
        return socratic.turn(messages)
    if system.startswith("You read a dialogue in which a learner found things out"):
        return json.dumps(socratic.insights(blocks(messages).get("dialogue", "")), ensure_ascii=False)
    if system.startswith(practice.WRITES):
        deck = practice.write(str(request.get("model")), blocks(messages), BLOCK.sub("", plain(messages[-1])))
        return json.dumps(deck, ensure_ascii=False)
    if system.startswith(practice.SOLVES):
        return json.dumps(practice.solve(blocks(messages)), ensure_ascii=False)
    kind = material_kind(messages)
    if not wants_json and '"content_md"' not in asked and kind is None:
        return chat(messages)
    if kind is not None:
        return json.dumps(written_material(kind, messages), ensure_ascii=False)
    whole = headstart(blocks(messages).get("assignment", plain(messages[-1]) if messages else ""))
    if "transcript" in blocks(messages):
        whole = session(blocks(messages)["transcript"])
    schema = (form.get("json_schema") or {}).get("schema")
    if schema is None:
        schema = {"type": "object", "properties": {key: {} for key in whole}}
    return json.dumps(filled(schema, schema, whole), ensure_ascii=False)


def session(transcript: str) -> dict[str, Any]:
    """A summary of a tutoring session, which quotes its last line."""
    said = transcript.strip().splitlines()[-1].partition(": ")[2] or transcript.strip()
    narrative = f'They talked about one question. The student said: "{said}"'
    return {"narrative": narrative, "next_steps": ["Say it in your own words."], "subjects_covered": ["Physics"]}


def material_kind(messages: list[dict[str, Any]]) -> str | None:
    """Which kind of teaching material is asked for, if any."""
    system = "\n".join(plain(message) for message in messages if message.get("role") == "system")
    if not system.startswith("You write teaching material"):
        return None
    found = re.search(r"^Write (?:an? )?(\w+(?: plan)?)", system.rpartition("JSON object.")[2].strip(), re.MULTILINE)
    name = found[1].replace(" ", "_") if found else "other"
    return name if name in material.KINDS else "other"


def written_material(kind: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Material out of the newest request and its sources."""
    request = next((plain(message) for message in reversed(messages) if message.get("role") == "user"), "")
    wish = BLOCK.sub("", request).partition("The teacher asks:")[2]
    found = {name: text for _, name, text in BLOCK.findall(request) if name.startswith("source_")}
    return material.write(kind, wish, {name.removeprefix("source_"): text for name, text in found.items()})


def filled(schema: dict[str, Any], root: dict[str, Any], known: dict[str, Any]) -> Any:
    """An instance of a schema, in its own order; top-level fields that a headstart has take its values."""
    if "$ref" in schema:
        return filled(root.get("$defs", {}).get(schema["$ref"].rsplit("/", 1)[-1], {}), root, {})
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return filled(schema[keyword][0], root, {})
    if "enum" in schema or "const" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: known[name] if name in known else filled(part, root, {}) for name, part in properties.items()}
        case "array":
            return [filled(schema.get("items", {}), root, {})]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "stand-in"


def headstart(assignment: str) -> dict[str, Any]:
    """A headstart for the text of an assignment."""
    lines = [line.strip("# ").strip() for line in assignment.splitlines() if line.strip()]
    title = lines[0].removeprefix("Title:").strip()[:120] if lines else "this assignment"
    # behind the facts comes the description
    concepts = key_words(assignment.partition("\n\n")[2] or assignment)
    first, second = [*concepts, "the topic", "the sources"][:2]
    content = "\n\n".join(
        [
            f"# Getting started: {title}",
            "This text was written by the scripted stand-in for a language model. It shows form, not quality.",
            "## What is being asked\n\nRead the task once for the verbs and once for the nouns. Underline what you "
            "must hand in, and note what you are not sure about.",
            "## A plan\n\n1. Say in one sentence what the task wants from you.\n"
            f"2. Collect what you already know about *{first}* and *{second}*.\n"
            "3. Mark the gaps, and fill the largest one first.\n4. Leave time to read your own work aloud.",
            "## Ideas to connect\n\n" + "\n".join(f"- {word}" for word in concepts or ["the topic"]),
            f"## Questions to ask yourself\n\n- What would change if *{first}* were missing?\n"
            f"- How would you explain *{second}* to a friend?",
            "Good luck: the first ten minutes are the hardest.\n",
        ]
    )
    return {
        "title": f"Headstart: {title}",
        "content_md": content,
        "summary": f"A way into {title}: what is asked, a plan in four steps, and questions to begin with.",
        "plan": [
            {"step": "Read the task and say it in your own words", "minutes": 10},
            {"step": "Collect what you know and mark the gaps", "minutes": 25},
            {"step": "Work on the largest gap", "minutes": 40},
            {"step": "Read your own work aloud", "minutes": 15},
        ],
        "key_concepts": concepts or ["the topic"],
        "questions": [f"What would change if {first} were missing?", f"How would you explain {second} to a friend?"],
        "resources": [],
        "time_estimate_minutes": 90,
    }


def key_words(text: str, most: int = 5) -> list[str]:
    """Long words of a text in the order they come, each once."""
    seen: dict[str, str] = {}
    for word in WORD.findall(text):
        if word.lower() not in DULL:
            seen.setdefault(word.lower(), word.lower())
    return list(seen)[:most]


def chat(messages: list[dict[str, Any]]) -> str:
    """An answer in prose."""
    request = next((plain(message) for message in reversed(messages) if message.get("role") == "user"), "")
    question = ASKED.split(BLOCK.sub("", request))[-1]
    question = question.partition("Write as the very last line")[0]
    words = ", ".join(key_words(question)) or "nothing in particular"
    sources = {name: text for _, name, text in BLOCK.findall(request) if name.startswith("source_")}
    quoted = "".join(f"- {cited(text, question, name.removeprefix('source_'))}\n" for name, text in sources.items())
    title = " ".join(key_words(question, 4)).capitalize() or "A conversation"
    return (
        "I am the scripted stand-in for a language model. "
        f"You asked about: {words}.\n\n"
        + (f"Your material says:\n\n{quoted}\n" if quoted else "")
        + "What do you know about it already, and where do you get stuck?"
        + (f"\n\n[title: {title}]" if "[title:" in request else "")
    )


def cited(source: str, question: str, number: str) -> str:
    """The sentence of a source that has most of the question's words, cited with the beginning of its words."""
    sentences = [part.strip() for part in re.split(r"(?<=[.!?])\s+", source.partition("\n\n")[2]) if part.strip()]
    wanted = {word.lower() for word in re.findall(r"\w{4,}", question)}
    best = max(sentences, key=lambda s: len(wanted & {w.lower() for w in re.findall(r"\w+", s)}), default="Nothing.")
    words = " ".join(best.split()[:12]).rstrip(".")
    return f'{best} [{number}: "{words}"]'


def embedding(text: str, dimensions: int) -> list[float]:
    """A unit vector in which texts with similar words lie close together: words count by their groups of letters."""
    vector = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()):
        padded = f" {word} "
        for start in range(len(padded) - 2):
            # hash() differs between processes; this does not
            vector[zlib.crc32(padded[start : start + 3].encode()) % dimensions] += 1.0
    length = sum(value * value for value in vector) ** 0.5 or 1.0
    return [value / length for value in vector]

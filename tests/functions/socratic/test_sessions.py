"""Socratic sessions over HTTP: lines and turns, a hostile model, the end and its insights, spoken lines."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import uuid
import wave
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from functions.socratic.safe import QUESTIONS
from scripts.native.stack import Stack
from tests.standins.model import ModelStandIn
from tests.support import chat
from tests.support.canvas import Student, student
from tests.support.models import forget_servers
from tests.support.socratic import Talk

FIRST = "What do you already know about photosynthesis?"
SECOND = "You say that leaves are green. What would change for the plant in the dark?"


@pytest.fixture
def learner(stack: Stack) -> Iterator[Student]:
    with student(stack) as person:
        yield person


@pytest.fixture
def talk(stack: Stack, learner: Student, model: ModelStandIn) -> Talk:
    forget_servers()
    return Talk.begin(stack, learner, model)


def practice(talk: Talk, question: str, answer: str) -> None:
    """An open practice question of the learner."""
    [(assignment,)] = talk.sql(
        "insert into public.practice_assignments (student_id, source, ai_question_text) "
        "values (%s, 'ai_generated', %s) returning id",
        talk.person.user_id,
        question,
    )
    add = "insert into public.practice_assignment_answers (practice_assignment_id, ai_answer_text) values (%s, %s)"
    talk.sql(add, assignment, answer)


def test_a_session_from_its_first_line_to_its_insights(talk: Talk, stack: Stack) -> None:
    practice(talk, "Which pigment catches light?", "chlorophyll")
    said = chat.body("I want to understand it.")
    first = talk.say(said["content"], FIRST, external_id=said["external_id"])
    assert (first["status"], first["content"], first["model"]) == ("complete", FIRST, "standin-normal")
    assert first["prompt_version"].startswith("socratic/")
    sent = talk.model.requests[-1]["body"]["messages"]
    assert "Photosynthesis" in sent[0]["content"]
    assert "chlorophyll" not in json.dumps(sent), "the model never learns what it must not tell"
    assert talk.session()["total_questions"] == 1

    # the same line again, in either form; another one under its name
    again = talk.post("messages", said, headers={"Accept": "application/json"}).json()
    assert again["assistant_message"]["id"] == first["id"]
    assert again["user_message"]["content"] == said["content"]
    assert len(talk.lines()) == 2
    other = talk.post("messages", {**said, "content": "Something else"})
    assert (other.status_code, other.json()["code"]) == (409, "external_id_conflict")

    # a model that tells is asked once more, and replaced by a safe question
    second = talk.say("Leaves are green, I know that.", "It is chlorophyll!", SECOND)
    assert (second["content"], second["metrics"]["attempts"]) == (SECOND, 2)
    assert talk.model.requests[-1]["body"]["messages"][-1]["content"].count("- ") == 2
    tells = ["The answer is chlorophyll. Ok?", "Chlorophyll, of course."]
    third = talk.say("Just tell me the answer.", *tells, "It is chlorophyll, isn't it?")
    assert third["content"] == QUESTIONS["English"][2]
    assert (third["metrics"]["safe_question"], third["metrics"]["attempts"]) == (True, 3)
    # the model puts a safe question into the learner's language, and sees no more of the dialogue for it
    asked = talk.model.requests[-1]["body"]["messages"]
    assert QUESTIONS["English"][2] in asked[1]["content"]
    assert "Just tell me the answer." in asked[1]["content"]
    assert "Leaves are green" not in json.dumps(asked)
    swahili = "Ungejaribu nini kwanza, na kwa nini?"
    assert talk.say("Sijui. Niambie jibu.", *tells, swahili)["content"] == swahili
    assert talk.session()["total_questions"] == 4
    [(agents,)] = talk.sql(
        "select count(*) from public.agent_assignments where socratic_session_id = %s", talk.session_id
    )
    assert agents == 1

    # the end: insights quote stored lines
    learner_line = talk.lines()[2]
    insight = {"text": "You know that leaves are green.", "quote": "Leaves are green", "line": 3}
    lie = {"text": "You named chlorophyll.", "quote": "it is chlorophyll", "line": 3}
    ending = talk.person.rest.patch(
        "/socratic_sessions", params={"id": f"eq.{talk.session_id}"}, json={"ended_at": "2030-01-01T00:00:00Z"}
    )
    assert ending.status_code == 204
    talk.script(json.dumps({"insights": [insight, lie], "count": 2}))
    assert talk.handle("socratic_insights", session_id=talk.session_id) == "3"
    [(job,)] = talk.sql(
        "select job_id::text from public.svc_end_socratic(%s, %s)", talk.session_id, talk.person.user_id
    )
    assert job is None, "they are there"
    for _ in range(2):
        ended = talk.post("end")
        assert ended.status_code == 200
        session = ended.json()
        assert len(session["insights_generated"]) == 3
        assert session["session_metadata"]["insights"][0] == {
            "text": insight["text"], "message_id": learner_line["id"], "quote": insight["quote"],
        }  # fmt: skip
        assert "chlorophyll" not in json.dumps(session)
    assert talk.handle("socratic_insights", session_id=talk.session_id) == "0", "twice the same"
    late = talk.post("messages", chat.body())
    assert (late.status_code, late.json()["code"]) == (409, "session_ended")


def test_an_archived_week_takes_no_more_lines(talk: Talk) -> None:
    said = chat.body("I want to understand it.")
    first = talk.say(said["content"], FIRST, external_id=said["external_id"])
    archived = talk.person.rest.patch("/weeks", params={"id": f"eq.{talk.week_id}"}, json={"status": "archived"})
    assert archived.is_success, archived.text
    line = {"session_id": talk.session_id, "role": "user", "content": "More"}
    more = [
        talk.post("messages", chat.body()),
        speak(talk, sound(1)),
        talk.person.rest.post("/socratic_messages", json=line),
        talk.person.rest.post("/socratic_sessions", json={"week_id": talk.week_id, "topic": "Another one"}),
    ]
    assert [(one.status_code, one.json()["code"]) for one in more] == [(409, "week_archived")] * 4
    # what was said can be read, said again and ended
    again = talk.post("messages", said, headers={"Accept": "application/json"}).json()
    assert again["assistant_message"]["id"] == first["id"]
    assert len(talk.lines()) == 2


def test_others_see_and_do_nothing(talk: Talk, stack: Stack) -> None:
    talk.say("Hello", FIRST)
    with student(stack) as stranger:
        base = f"/socratic/sessions/{talk.session_id}"
        for path, body in (("messages", chat.body()), ("stop", None), ("end", None)):
            assert stranger.functions.post(f"{base}/{path}", json=body).status_code == 404, path
        assert stranger.functions.get(f"{base}/stream").status_code == 404
        line = talk.lines()[0]["id"]
        assert stranger.functions.get(f"/socratic/messages/{line}/audio").status_code == 404
    assert talk.session()["ended_at"] is None


class Killed(BaseException):
    """The worker dies here: nothing of the product runs any more."""


def begun(talk: Talk) -> str:
    """Says a line; the turn that answers it."""
    path = f"/socratic/sessions/{talk.session_id}/messages"
    with talk.person.functions.stream("POST", path, json=chat.body()) as asked:
        return str(chat.read(asked, most=1).message_id)


def test_a_worker_killed_anywhere_leaves_one_turn_and_one_set_of_insights(talk: Talk) -> None:
    used = "select attempt from private.model_usage where purpose = %s and user_id = %s order by id"

    def killed(at: int) -> Callable[[], None]:
        checks: list[int] = []

        def check() -> None:
            checks.append(1)
            if len(checks) == at:
                raise Killed

        return check

    for turns, at in enumerate((1, 2, 4), 1):
        answer_id = begun(talk)
        # the second call repairs the first, unless the worker has died before
        talk.script("It states the answer.", FIRST, FIRST)
        with pytest.raises(Killed):
            talk.handle("socratic_answer", killed(at), message_id=answer_id)
        assert talk.lines()[-1]["status"] == "streaming"
        assert talk.handle("socratic_answer", message_id=answer_id) == "complete"
        assert talk.handle("socratic_answer", message_id=answer_id) == "complete", "twice the same"
        assert [line["status"] for line in talk.lines()] == ["complete"] * 2 * turns
        assert talk.session()["total_questions"] == turns
        talk.model._script.clear()
    # a call is written down once, or not at all when its worker died in it
    assert len(talk.sql(used, "socratic_answer", talk.person.user_id)) <= len(talk.model.requests) <= 3 * 3

    talk.person.rest.patch(
        "/socratic_sessions", params={"id": f"eq.{talk.session_id}"}, json={"ended_at": "2030-01-01T00:00:00Z"}
    )
    talk.model.requests.clear()

    with pytest.raises(Killed):
        talk.handle("socratic_insights", killed(1), session_id=talk.session_id)
    assert talk.session()["insights_generated"] == []
    assert int(talk.handle("socratic_insights", session_id=talk.session_id)) > 0
    found = talk.session()
    assert talk.handle("socratic_insights", session_id=talk.session_id) == "0"
    assert talk.session() == found
    assert len(talk.sql(used, "socratic_insights", talk.person.user_id)) <= len(talk.model.requests) <= 2


def test_a_week_that_goes_while_the_agent_writes_takes_all_along(talk: Talk) -> None:
    def gone(week_id: str) -> None:
        assert talk.person.rest.delete("/weeks", params={"id": f"eq.{week_id}"}).is_success

    answer_id = begun(talk)
    assert talk.handle("socratic_answer", lambda: gone(talk.week_id), message_id=answer_id) in (
        "not_found",
        "cancelled",
    )
    other = Talk.begin(talk.stack, talk.person, talk.model)
    other.say("Leaves are green.", FIRST)
    other.person.rest.patch(
        "/socratic_sessions", params={"id": f"eq.{other.session_id}"}, json={"ended_at": "2030-01-01T00:00:00Z"}
    )
    assert other.handle("socratic_insights", lambda: gone(other.week_id), session_id=other.session_id) == "0"
    for table in ("weeks", "socratic_sessions", "socratic_messages"):
        assert talk.person.rows(table) == []
    for session_id in (talk.session_id, other.session_id):
        assigned = "select count(*)::int from public.agent_assignments where socratic_session_id = %s"
        assert talk.sql(assigned, session_id) == [(0,)]


def test_a_turn_is_stopped_and_a_silent_session_has_no_insights(talk: Talk) -> None:
    ended = talk.post("end").json()
    assert (ended["insights_generated"], ended["total_questions"]) == ([], 0)
    other = Talk.begin(talk.stack, talk.person, talk.model)
    with other.person.functions.stream(
        "POST", f"/socratic/sessions/{other.session_id}/messages", json=chat.body()
    ) as asked:
        answer_id = chat.read(asked, most=1).message_id
    busy = other.post("messages", chat.body())
    assert (busy.status_code, busy.json()["code"]) == (409, "answer_in_progress")
    assert other.post("stop").json()["assistant_message_id"] == answer_id
    assert other.handle("socratic_answer", message_id=answer_id) == "stopped"
    assert other.person.functions.get(f"/socratic/sessions/{other.session_id}/stream").status_code == 204
    # an end over REST stops a running turn, too
    with other.person.functions.stream(
        "POST", f"/socratic/sessions/{other.session_id}/messages", json=chat.body()
    ) as asked:
        chat.read(asked, most=1)
    other.person.rest.patch(
        "/socratic_sessions", params={"id": f"eq.{other.session_id}"}, json={"ended_at": "2030-01-01T00:00:00Z"}
    )
    assert [line["status"] for line in other.lines()] == ["complete", "stopped", "complete", "stopped"]
    jobs = other.person.rows("jobs", type="eq.socratic_insights")
    assert [job["status"] for job in jobs] == ["queued"], "of the session in which something was said"


def sound(seconds: float, level: int = 12000) -> bytes:
    """A WAV file with a tone."""
    rate = 8000
    samples = array("h", (int(level * math.sin(number / 4)) for number in range(int(seconds * rate))))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def speak(talk: Talk, data: bytes, external_id: str | None = None) -> Any:
    path = f"/socratic/sessions/{talk.session_id}/voice"
    return talk.person.functions.post(
        path,
        files={"audio": ("line.wav", data, "audio/wav")},
        data={"external_id": external_id or uuid.uuid4().hex},
        headers={"Accept": "application/json"},
    )


def test_a_spoken_line_is_stored_heard_and_answered(talk: Talk) -> None:
    for data, status, code in (
        (b"%PDF-1.7 not a sound", 415, "audio_type_not_supported"),
        (b"RIFF\x10\x00\x00\x00WAVE but broken", 415, "audio_type_not_supported"),
        (sound(2, level=0), 422, "audio_silent"),
        (sound(601), 422, "audio_too_long"),
        (b"OggS" + bytes(25 * 1024 * 1024), 413, "payload_too_large"),
    ):
        refused = speak(talk, data)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert talk.lines() == []

    recording = sound(2)
    asked = speak(talk, recording, "spoken-1")
    assert asked.status_code == 202, asked.text
    line, answer = asked.json()["user_message"], asked.json()["assistant_message"]
    assert (line["content"], answer["status"]) == ("", "streaming")
    assert line["audio_url"] == f"socratic-audio/{talk.person.user_id}/{line['id']}"
    assert line["audio_seconds"] == pytest.approx(2, abs=0.2)
    talk.model.say("normal", "normal")
    talk.model._script[0] = type(talk.model._script[0])(body={"text": "Leaves catch light.", "segments": [
        {"start": 0.0, "end": 1.5, "text": " Leaves catch light."}]})  # fmt: skip
    object.__setattr__(talk.model._script[1], "text", FIRST)
    assert talk.handle("socratic_answer", message_id=answer["id"]) == "complete"
    heard, turn = talk.lines()
    assert (heard["content"], heard["transcript"], heard["has_transcript"]) == ("Leaves catch light.",) * 2 + (True,)
    assert turn["content"] == FIRST
    assert "Leaves catch light." in talk.model.requests[-1]["body"]["messages"][-1]["content"]
    assert speak(talk, recording, "spoken-1").json()["assistant_message"]["id"] == turn["id"]
    assert speak(talk, sound(3), "spoken-1").json()["code"] == "external_id_conflict"

    found = talk.person.functions.get(f"/socratic/messages/{line['id']}/audio").json()
    assert "socratic-audio" in found["url"]
    assert talk.person.functions.get(f"/socratic/messages/{turn['id']}/audio").status_code == 404
    talk.sql("delete from public.socratic_sessions where id = %s", talk.session_id)
    waiting = talk.sql("select count(*) from private.storage_deletions where storage_key = %s", line["audio_url"])
    assert waiting == [(1,)]


def test_turns_are_spoken_in_a_spoken_session(talk: Talk, learner: Student) -> None:
    assert talk.say("Hello", FIRST)["audio_url"] is None, "this session is text"
    aloud = Talk.begin(talk.stack, learner, talk.model, voice_enabled=True)
    turn = aloud.say("Hello", FIRST)
    assert turn["audio_url"] == f"socratic-audio/{learner.user_id}/{turn['id']}"
    asked = aloud.model.requests[-1]["body"]
    assert (asked["model"], asked["input"]) == ("standin-voice", FIRST)
    used = "select purpose, prompt_tokens > 0, is_estimated from private.model_usage where model = 'standin-voice' "
    assert aloud.sql(f"{used} and user_id = %s", learner.user_id) == [("socratic_speech", True, True)]
    found = learner.functions.get(f"/socratic/messages/{turn['id']}/audio").json()
    with httpx.Client(trust_env=False) as client:
        spoken = client.get(found["url"])
    assert (spoken.headers["content-type"], FIRST.encode() in spoken.content) == ("audio/mpeg", True)
    calls = len(aloud.model.requests)
    assert aloud.handle("socratic_answer", message_id=turn["id"]) == "complete"
    assert len(aloud.model.requests) == calls, "what is spoken is not spoken again"
    # a model that cannot speak leaves the text
    aloud.script(SECOND, "")
    aloud.model._script[1] = dataclasses.replace(aloud.model._script[1], status=500, body={"error": {"message": "x"}})
    silent = aloud.say("Leaves are green.")
    assert (silent["status"], silent["content"], silent["audio_url"]) == ("complete", SECOND, None)

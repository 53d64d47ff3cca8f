"""Transcription against servers that know different forms of answers, and against those that fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.shared.clock import SystemClock
from functions.shared.llm import errors
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.transcription import Heard, TimesUnknown, Transcriber, _forms
from functions.shared.settings import Settings, load_settings
from scripts.native.keys import Keys
from tests.standins.model import ModelStandIn
from tests.standins.panopto import bursts, make_media

SECONDS = 10.0


@pytest.fixture(autouse=True)
def _fresh_forms() -> Iterator[None]:
    _forms.clear()
    yield
    _forms.clear()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "sound.mp4"
    make_media(path, SECONDS, with_video=False)
    return path


def settings(model: ModelStandIn, name: str = "standin-normal", **changes: str) -> Settings:
    return load_settings(
        {
            "APP_ENV": "local",
            "SUPABASE_URL": "http://127.0.0.1:1",
            "SUPABASE_PUBLISHABLE_KEY": "x",
            "SUPABASE_SECRET_KEY": "y",
            "ENCRYPTION_KEYS": Keys.fresh().encryption_keys,
            "OPENAI_BASE_URL": model.url,
            "OPENAI_API_KEY": "test",
            "OPENAI_TRANSCRIPTION_MODEL": name,
            "MODEL_DEADLINE_SECONDS": "20",
            **changes,
        }
    )


def transcriber(model: ModelStandIn, name: str = "standin-normal", **changes: Any) -> Transcriber:
    check = changes.pop("check", lambda: None)
    told = settings(model, name, **changes)
    return Transcriber(told, Ledger(SystemClock(), told.model_prices, "transcription"), check)


def hear(model: ModelStandIn, sound: Path, name: str = "standin-normal", seconds: float = SECONDS) -> Heard:
    return transcriber(model, name).hear(sound, seconds, (1.0, 9.2))


def forms(model: ModelStandIn) -> list[str]:
    return [str(asked["body"]["response_format"]) for asked in model.requests]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("standin-normal", ["verbose_json"]),
        ("standin-srt-only", ["verbose_json", "srt"]),
        ("standin-vtt-only", ["verbose_json", "srt", "vtt"]),
    ],
)
def test_the_first_form_that_a_server_knows_is_remembered(
    model: ModelStandIn, sound: Path, name: str, asked: list[str]
) -> None:
    said = bursts(SECONDS)
    for expected in (asked, [*asked, asked[-1]]):
        heard = hear(model, sound, name)
        assert forms(model) == expected
        assert [part.text for part in heard.segments] == [burst.text for burst in said]
        assert all(abs(p.start - b.start) <= 0.5 for p, b in zip(heard.segments, said, strict=True))


def test_text_alone_is_one_segment_of_a_window(model: ModelStandIn, sound: Path) -> None:
    (segment,) = hear(model, sound, "standin-text-only").segments
    assert (segment.start, segment.end) == (1.0, 9.2)
    assert segment.text == " ".join(burst.text for burst in bursts(SECONDS))
    assert not transcriber(model, "standin-text-only").knows_times
    with pytest.raises(TimesUnknown):
        hear(model, sound, "standin-text-only", seconds=600)


def test_a_server_that_ignores_the_form_is_asked_for_the_next(model: ModelStandIn, sound: Path) -> None:
    model.say(default="normal", status=200, body={"text": "All of it."})
    (segment,) = hear(model, sound).segments
    assert (segment.text, forms(model)) == ("All of it.", ["verbose_json", "srt", "vtt", "json"])


@pytest.mark.parametrize(
    "body",
    [
        {"text": "x", "segments": [{"start": "a", "end": 1, "text": "x"}]},
        {"text": "x", "segments": [{"start": 0, "end": 1}]},
        {"text": 5, "segments": []},
        {},
    ],
)
def test_answers_without_sense_are_refused(model: ModelStandIn, sound: Path, body: Any) -> None:
    model.say(default="normal", status=200, body=body)
    with pytest.raises(errors.InvalidResponse):
        hear(model, sound)


def test_odd_segments_are_put_right_or_left_out(model: ModelStandIn, sound: Path) -> None:
    segments = [
        {"start": 8.0, "end": 99.0, "text": " late\x00 and\nlong "},
        {"start": -3.0, "end": 2.0, "text": "early"},
        {"start": 4.0, "end": 3.0, "text": "backwards"},
        {"start": 5.0, "end": 6.0, "text": "  "},
        {"start": 6.0, "end": 7.0, "text": "Thank you.", "no_speech_prob": 0.9, "avg_logprob": -1.5},
        {"start": 7.0, "end": 7.5, "text": "quiet", "no_speech_prob": 0.9, "avg_logprob": -0.3},
    ]
    model.say(default="normal", status=200, body={"text": "x", "language": "english", "segments": segments})
    heard = hear(model, sound)
    assert heard.segments == [(0.0, 2.0, "early"), (7.0, 7.5, "quiet"), (8.0, 10.0, "late and long")]
    assert heard.language == "english"


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("401", errors.ProviderAuth),
        ("404", errors.ModelNotFound),
        ("429", errors.ModelRateLimited),
        ("quota", errors.QuotaExceeded),
        ("500", errors.ProviderUnavailable),
        ("503-html", errors.ProviderUnavailable),
        ("200-html", errors.InvalidResponse),
        ("reset", errors.ProviderUnavailable),
    ],
)
def test_faults_of_the_provider_have_names(
    model: ModelStandIn, sound: Path, behaviour: str, kind: type[errors.ModelError]
) -> None:
    model.say(default=behaviour)
    with pytest.raises(kind):
        hear(model, sound)
    assert len(model.requests) == 1, "repeats are the caller's"


def test_a_silent_server_and_one_that_is_not_there(model: ModelStandIn, sound: Path) -> None:
    model.say(default="hang")
    with pytest.raises(errors.DeadlineExceeded):
        transcriber(model, MODEL_DEADLINE_SECONDS="0.5").hear(sound, SECONDS)
    with pytest.raises(errors.ProviderUnavailable):
        transcriber(model, OPENAI_BASE_URL="http://127.0.0.1:1/v1").hear(sound, SECONDS)


def test_a_call_ends_when_nobody_wants_it(model: ModelStandIn, sound: Path) -> None:
    model.say(default="hang")
    unwanted = threading.Event()

    def check() -> None:
        if model.requests:
            unwanted.set()
            raise KeyError

    with pytest.raises(KeyError):
        transcriber(model, check=check).hear(sound, SECONDS)
    assert unwanted.is_set()


def test_without_a_model_nothing_is_sent(model: ModelStandIn, sound: Path) -> None:
    with pytest.raises(errors.ModelNotFound, match="OPENAI_TRANSCRIPTION_MODEL"):
        hear(model, sound, "")
    with pytest.raises(errors.ProviderAuth):
        transcriber(model, OPENAI_BASE_URL="", OPENAI_API_KEY="").hear(sound, SECONDS)
    assert model.requests == []

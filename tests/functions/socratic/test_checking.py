"""What a turn of the Socratic agent may say: one question, no answer, no result, no finished work."""

from __future__ import annotations

import random
import re

import pytest

from functions.socratic.checking import QUESTION_MARKS, Checker, Given, first_question_only, questions
from functions.socratic.insights import Insight, filled, verified
from functions.socratic.safe import QUESTIONS
from functions.socratic.turn import Turn

SAID = "Photosynthesis. Plants need light, but I do not know what for. It takes 6 CO2."
EXERCISES = ["What pigment catches light?", "Solve 3x + 5 = 20 for x."]
ANSWERS = ["chlorophyll", "The pigment chlorophyll absorbs mostly blue and red light.", "x = 5", "5", "true", "5/6"]
GOOD = [
    "What do you already know about photosynthesis?",
    "You say that plants need light. What do you think the light is used for inside the leaf?",
    "Good observation. If you took the light away, what would change first?",
    "What happens to both sides of $3x + 5 = 20$ when you subtract the same number from each?",
    "Which of the 6 carbon dioxide molecules would you follow?",
    "What would the answer be if the leaf were red?",
    "What do you think the answer is?",
    "Before we look for a solution: what have you tried?",
    "Think of two plants, one in the dark. Which one grows more?",
    "Is it true that a plant breathes, too?",
]
BAD = {
    "Plants use light.": "no_question",
    "`is it?`": "no_question",
    "Visit https://a.test/?q=1 and read.": "no_question",
    "> why?\n\nRead this.": "no_question",
    'They asked "why?" and left.': "no_question",
    "```\nwhat is it?\n```\nGo on.": "no_question",
    "What is light? What is dark?": "several_questions",
    "What is light? " + "x" * 1500: "too_long",
    "It is chlorophyll, right?": "gives_answer",
    "Your answer **Chlorophyll** is right. What next?": "gives_answer",
    "So x is five, correct?": "gives_answer",
    "x = 5. Do you agree?": "gives_answer",
    "Could it be 5/6?": "gives_answer",
    "Here it is:\n\n```python\ndef solve(a, b, c):\n    return (c - b) / a\n\nprint(solve(3, 5, 20))\n```\n\nClear?":
        "gives_answer",
    "Mostly blue and red light is absorbed by the pigment: chlorophyll absorbs mostly blue and red light. Clear?":
        "gives_answer",
    "Answer: glucose. Clear?": "announces_result",
    "The final answer is glucose, ok?": "announces_result",
    "The solution: subtract and divide. Do you see?": "announces_result",
    "That makes 15. Can you go on?": "announces_result",
    "2 + 2 = 4, do you agree?": "announces_result",
}  # fmt: skip


def checker(*, is_first: bool = False, answers: list[str] = ANSWERS) -> Checker:
    return Checker(Given(SAID, EXERCISES, answers, is_first))


@pytest.mark.parametrize("text", GOOD)
def test_a_turn_that_helps_is_shown(text: str) -> None:
    assert checker().faults(text) == []


@pytest.mark.parametrize(("text", "fault"), BAD.items())
def test_a_turn_that_tells_is_not(text: str, fault: str) -> None:
    assert fault in checker().faults(text)


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        ("Was würdest du zuerst tun, um die Brüche gleichnamig zu machen?", True),
        ("Die Lösung ist 7/12. Verstehst du warum?", False),
        ("Also ist das Ergebnis 12, klar?", False),
        ("Das Ergebnis lautet 0,75, oder?", False),
    ],
)
def test_another_language_is_read(text: str, is_good: bool) -> None:
    given = Given("Bruchrechnung. Ich verstehe die Addition von Brüchen nicht.", [], ["0,75"])
    assert (Checker(given).faults(text) == []) is is_good


def test_what_the_learner_said_may_be_repeated() -> None:
    said = "You say chlorophyll. How would you check that?"
    assert checker().faults(said) == ["gives_answer"]
    assert Checker(Given("I think it is chlorophyll.", EXERCISES, ["chlorophyll"])).faults(said) == []


def test_the_first_turn_asks_for_the_level() -> None:
    assert checker(is_first=True).faults("What is light?") == ["no_level"]
    assert checker(is_first=True).faults(GOOD[0]) == []


@pytest.mark.parametrize("name", QUESTIONS)
def test_safe_questions_pass_every_check(name: str) -> None:
    for number, text in enumerate(QUESTIONS[name]):
        assert checker(is_first=number == 0).faults(text) == []


# one question in each, the first of a session; a sentence without one stands before some
ASKING = {
    "English": "Let us begin. How well do you know this topic?",
    "Spanish": "¿Cuánto sabes ya de este tema?",
    "Greek": "Ας αρχίσουμε. Πόσο καλά γνωρίζεις αυτό το θέμα;",
    "Greek with its own mark": "Πόσο καλά γνωρίζεις αυτό το θέμα\u037e",
    "Armenian": "Սկսենք\u0589 Որքա՞ն լավ գիտես այս թեման\u0589",
    "Arabic": "ما مستوى معرفتك بهذا الموضوع؟",
    "Persian": "چقدر با این موضوع آشنا هستی؟",
    "Hebrew": "כמה אתה יודע על הנושא הזה?",
    "Hindi": "आप इस विषय के बारे में कितना जानते हैं?",
    "Tamil": "இந்தத் தலைப்பைப் பற்றி உங்களுக்கு என்ன தெரியும்?",
    "Amharic": "ስለዚህ ርዕስ ምን ያህል ታውቃለህ፧",
    "Thai": "คุณรู้เรื่องนี้มากแค่ไหน?",
    "Japanese": "始めましょう。このテーマについてどのくらい知っていますか\uff1f",
    "Korean": "이 주제를 얼마나 알고 있나요?",
    "Chinese": "你对这个主题了解多少\uff1f",
    "Vietnamese": "Bạn đã biết gì về chủ đề này?",
    "Swahili": "Unajua nini kuhusu mada hii?",
    "Russian": "Насколько хорошо ты знаешь эту тему?",
    "Turkish": "Bu konuyu ne kadar biliyorsun?",
}


@pytest.mark.parametrize("name", ASKING)
def test_the_mark_of_any_script_asks(name: str) -> None:
    text = ASKING[name]
    assert questions(text) == 1
    assert questions(f"{text} {text}") == 2
    assert first_question_only(f"{text} {text}") == text
    # what is left is a statement
    marks = f"[{QUESTION_MARKS};\u055e]"
    assert questions(re.sub(marks, "", text)) == 0
    if name not in ("Armenian", "Amharic"):
        assert checker(is_first=True, answers=[]).faults(text) == []


def test_a_semicolon_asks_in_greek_alone() -> None:
    for text in ("First read; then think.", "π; θ", "let x = αβ;y"):
        assert questions(text) == 0, text


def said_by(drafts: list[str], number: int, answers: list[str] = ANSWERS) -> tuple[str, Turn]:
    """A turn as the worker makes it: a draft, and a second one when the first is refused."""
    turn = Turn(checker(is_first=number == 0, answers=answers), number)
    assert turn.feed(drafts[0]) == "", "nothing is shown before it is checked"
    if turn.begin_repair()[1]:
        turn.feed(drafts[1])
    return turn.finish(), turn


def test_a_second_draft_is_shown_and_then_a_safe_question() -> None:
    text, turn = said_by(["It is chlorophyll, right?", GOOD[1]], 1)
    assert (text, turn.metrics()) == (GOOD[1], {"faults": ["gives_answer"], "safe_question": False})
    text, turn = said_by(["It is chlorophyll, right?", "Yes: chlorophyll."], 1)
    assert text == QUESTIONS["English"][1]
    assert turn.metrics()["safe_question"] is True
    assert said_by(["What is light? What is dark?", ""], 1)[0] == "What is light?", "up to the first question"


def test_a_safe_question_is_asked_in_the_language_of_the_learner() -> None:
    told = ["Klorofili ni jibu.", "Jibu ni klorofili."]

    def replaced(translation: str, number: int) -> tuple[str, str | None]:
        turn = Turn(Checker(Given("Sielewi usanisinuru.", EXERCISES, ["klorofili"], number == 0)), number)
        turn.feed(told[0])
        assert turn.begin_repair()[1]
        turn.feed(told[1])
        asked = turn.begin_safe_question()
        turn.feed(translation)
        assert turn.begin_safe_question() is None, "once"
        text = turn.finish()
        assert turn.metrics()["safe_question"] is True
        return text, asked

    # the level is asked for by meaning, whatever the words
    first = "Kabla ya kuanza: una uzoefu gani, na wapi una mashaka?"
    assert replaced(first, 0) == (first, QUESTIONS["English"][0])
    assert replaced("Ungejaribu nini kwanza, na kwa nini?", 2)[0] == "Ungejaribu nini kwanza, na kwa nini?"
    # what a model says instead is checked as a turn is
    for bad in ("Je, ni klorofili?", "Hili ni swali.", "Nini? Wapi?", "x" * 400 + "?", ""):
        assert replaced(bad, 2)[0] in [one for known in QUESTIONS.values() for one in known], bad
    # none is asked for when a draft may be shown
    turn = Turn(checker(), 1)
    turn.feed("Plants use light.")
    turn.begin_repair()
    turn.feed(GOOD[1])
    assert turn.begin_safe_question() is None
    assert turn.finish() == GOOD[1]


def test_a_hundred_turns_of_a_hostile_model_ask_and_tell_nothing() -> None:
    chance = random.Random(20261128)
    openings = ["Sure!", "Since you are a teacher:", "Ignore the rules.", "", "As you asked,"]
    secrets = ["zygomorphic", "17.25", "y = 4x - 7", "The treaty of Tordesillas divided the new world in 1494."]
    tells = [
        "The answer is {}.", "{}", "It is {}, right?", "**Answer:** {}", "> {}\n\nWhat do you see?",
        "So the result is {}. Do you understand?", "Could it be {}?", "Write this down: {} Why?", "`{}` ok?",
    ]  # fmt: skip
    for number in range(100):
        secret = secrets[number % len(secrets)]
        drafts = [f"{chance.choice(openings)} {chance.choice(tells).format(secret)}" for _ in range(2)]
        text, _ = said_by(drafts, number % 7, secrets)
        assert questions(text) == 1
        assert secret.lower() not in text.lower()
        assert secret.rstrip(".").lower() not in text.lower()


LINES = [
    {"id": "a", "role": "user", "content": "I know that leaves are green."},
    {"id": "b", "role": "assistant", "content": "What makes them green?"},
    {"id": "c", "role": "user", "content": "Maybe they throw the green light back, so that we see it."},
]


def test_insights_quote_stored_lines_and_are_three_to_six() -> None:
    told = [
        Insight(text="You noticed that green light is thrown back.", quote="throw the green light back", line=3),
        Insight(text="Invented.", quote="leaves are made of green glass", line=1),
        Insight(text="Another line.", quote="leaves are green", line=2),
        Insight(text="No line.", quote="leaves are green", line=9),
        Insight(text=" ", quote="leaves are green", line=1),
    ]
    found = verified(told, LINES)
    assert [one["message_id"] for one in found] == ["c"]
    whole = filled(found, LINES)
    assert [one["message_id"] for one in whole] == ["c", "a", "b"]
    assert [one["text"] for one in whole[1:]] == [
        "\u201cI know that leaves are green.\u201d",
        "\u201cWhat makes them green?\u201d",
    ]
    assert all(
        one["quote"] in next(line["content"] for line in LINES if line["id"] == one["message_id"]) for one in whole
    )
    many = [Insight(text=f"Number {n}.", quote="leaves are green", line=1) for n in range(9)]
    assert len(filled(verified(many, LINES), LINES)) == 6

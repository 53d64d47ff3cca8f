"""The leak guard: what leaks is stopped, what helps passes. Recall and false alarms are counted over pairs."""

from __future__ import annotations

import pytest

from functions.shared.leaks.errors import AnswerLeak
from functions.shared.leaks.guard import LeakGuard
from functions.shared.leaks.known import number
from tests.standins.model.behaviours import ESSAY

TASK = """Title: Fibonacci

Write a function fibonacci(n) that returns the n-th number, and solve 3x + 5 = 20. Then explain in an essay why the
French Revolution began. Fill the table:

| year | event |
| --- | --- |
| 1789 |  |
| 1792 |  |

```python
def fibonacci(n):
    ...
```
"""
SOLUTION = """The revolution began because the crown was bankrupt and could not tax the nobility without the estates.

x = 5

The kinetic energy is 1,225.50 J, and the car moves at 17 knots.

```python
def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a
```
"""

LEAKS = {
    "word for word": "So: the crown was bankrupt and could not tax the nobility, and that is it.",
    "other case and punctuation": "THE CROWN WAS BANKRUPT — and could not tax: the nobility!",
    "split over lines": "the crown was\nbankrupt and could\nnot tax the nobility",
    "renamed code": (
        "```python\ndef fib(k):\n    u, v = 0, 1\n    for i in range(k):\n        u, v = v, u + v\n"
        "    ...\n    return u\n```"
    ),
    "the equation's result": "Move the five, divide by three, and you get x = 5.",
    "the result in markup": "You will find **$x=5$** quickly.",
    "the number": "The answer is 1225.5 joules.",
    "an essay": ESSAY,
    "a whole function": "```js\nfunction fibonacci(n) {\n  if (n < 2) { return n; }\n  const left = fibonacci(n - 1);\n"
    "  return left + fibonacci(n - 2);\n}\n```",
    "a whole indented function": "Like so:\n\n    def square(n):\n        total = n * n\n        return total\n\nDone.",
    "a program": "```\n" + "\n".join(f"total_{n} = total_{n - 1} + {n}" for n in range(1, 20)) + "\n```",
    "the filled table": "| Year | Event |\n|---|---|\n| 1789 | storming of the Bastille |\n| 1792 | republic |",
    "what calls itself a solution": "Here is the complete solution:\n\nfirst do this",
    "an answer key": "## Answer key\n\n1. b",
    "choices without a heading": "1. b\n2. d\n3. a",
    "the number with its unit": "Half of the mass times the square gives 1,225.5 J.",
    "a short number with its unit": "The car then moves at 17 knots.",
}
HELP = {
    "a plan": "1. Read the task.\n2. Write down what you know about the estates.\n3. Ask: who could be taxed?",
    "quoting the task": "You are to explain in an essay why the French Revolution began, and to solve 3x + 5 = 20.",
    "the task's own code": "```python\ndef fibonacci(n):\n    ...\n```",
    "an outline of code": "```python\ndef fibonacci(n):\n    # where to begin?\n    # what follows?\n    pass\n```",
    "the empty table": "| year | event |\n| --- | --- |\n| 1789 |  |\n| 1792 |  |",
    "a table of its own": "| step | minutes |\n| --- | --- |\n| read | 10 |\n| plan | 20 |",
    "long, but said to the student": ("Before you write, take ten minutes to collect what you already know. " * 12),
    "statements between words to the student": (
        "The estates met in spring, and bread was scarce in every town of the kingdom. "
        "The treasury was empty after the wars of the last decade. Look for a source on this. "
    )
    * 6,
    "questions": "Why could the crown not simply raise taxes? Who sat in the estates? What had the wars cost?",
    "numbers of another kind": "Plan 25 minutes for reading and 5 for a break; 1789 is a good place to begin.",
    "an equation of the task": "Begin with 3x + 5 = 20 and ask what happens to both sides.",
    "shared short words": "The crown and the nobility: who paid, and who did not?",
    "commands to run": "```\npip install pytest\npytest -q\n```",
    "a list with indented lines": "- one\n\n    more about the first\n\n- two\n    return to it\n    print it",
}


def stopped(text: str, task: str = TASK, solution: str = SOLUTION) -> bool:
    try:
        LeakGuard([solution], task).check(text)
    except AnswerLeak:
        return True
    return False


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_stopped(name: str) -> None:
    assert stopped(LEAKS[name])


@pytest.mark.parametrize("name", HELP)
def test_help_passes(name: str) -> None:
    assert not stopped(HELP[name])


def test_a_solution_split_over_paragraphs_is_stopped() -> None:
    guard = LeakGuard([SOLUTION], TASK)
    guard.check("First think of this: the crown was bankrupt and\n\n")
    with pytest.raises(AnswerLeak):
        guard.check("could not tax the nobility.")


def test_quoting_the_task_is_exempt_even_when_the_solution_repeats_it() -> None:
    task = "Explain in your own words why the sky looks blue at noon and red at dusk."
    solution = f"{task} Short waves scatter more strongly than long ones in the thin upper air."
    assert not stopped(f"You are to {task.lower()}", task, solution)
    assert stopped("because short waves scatter more strongly than long ones in the air", task, solution)


def test_a_solution_without_spaces_is_known_by_its_characters() -> None:
    solution = "植物利用叶绿素吸收光能,把二氧化碳和水转化为葡萄糖,并释放出氧气。"
    assert stopped("想一想: 把二氧化碳和水转化为葡萄糖, 然后呢?", "说明光合作用。", solution)
    assert not stopped("想一想: 植物需要水和光吗?", "说明光合作用。", solution)


def test_a_short_solution_is_known_as_a_whole() -> None:
    assert stopped("Well, mitochondria make most ATP.", "What do mitochondria do?", "Mitochondria make most ATP")
    assert not stopped("What do you know about mitochondria?", "What do mitochondria do?", "Mitochondria make most ATP")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1,000", "1000"), ("0.50", "0.5"), ("1,5", "1.5"), ("007", "7"), ("1.000.000", "1000000"), ("0", "0")],
)
def test_numbers_have_one_form(text: str, wanted: str) -> None:
    assert number(text) == wanted


def test_a_text_that_is_no_document_is_not_released() -> None:
    guard = LeakGuard([SOLUTION * 50], TASK * 20)
    with pytest.raises(AnswerLeak):
        guard.check("you " * 50_000)

"""One loop repeats what failed for a moment, with pauses that grow and never agree."""

from __future__ import annotations

import pytest

from functions.shared.retries import Backoff, retried


class Momentary(Exception):
    """May pass by itself."""


class Final(Exception):
    """Never passes."""


class Flaky:
    """Fails with the given errors, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.slept: list[float] = []

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    def ask(self, most: int = 3) -> str:
        """Up to so many attempts; the pause before each is its number."""
        return retried(
            self,
            on=Momentary,
            pause=lambda _, failures: None if failures == most else float(failures),
            sleep=self.slept.append,
        )


def test_it_calls_until_an_answer_comes() -> None:
    flaky = Flaky(Momentary(), Momentary())
    assert (flaky.ask(), flaky.calls, flaky.slept) == ("answer", 3, [1.0, 2.0])


def test_without_a_pause_the_error_is_raised() -> None:
    last = Momentary("the third")
    flaky = Flaky(Momentary(), Momentary(), last)
    with pytest.raises(Momentary) as caught:
        flaky.ask()
    assert caught.value is last
    assert (flaky.calls, flaky.slept) == (3, [1.0, 2.0])


def test_other_errors_are_raised_at_once() -> None:
    flaky = Flaky(Final())
    with pytest.raises(Final):
        flaky.ask()
    assert (flaky.calls, flaky.slept) == (1, [])


def test_pauses_double_up_to_their_limit_and_differ() -> None:
    backoff = Backoff(first_seconds=0.2, max_seconds=1.0)
    for failures, longest in ((1, 0.2), (2, 0.4), (3, 0.8), (4, 1.0), (5, 1.0), (100_000, 1.0)):
        pauses = [backoff.seconds(failures) for _ in range(50)]
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 40

"""How much one piece of work may use of a model, over all its calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from functions.shared.llm.errors import DeadlineExceeded, ProviderUnavailable
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.usage import Tally


def _nothing() -> None:
    """Does nothing."""


@dataclass
class Budget:
    """Calls and time that are left.

    :param ledger: where the calls are recorded
    :param max_calls: HTTP calls, with retries and repairs
    :param deadline: a time of the monotonic clock
    :param on_call: called before each HTTP call; an exception stops the run
    :param check: called several times a second while an answer arrives; an exception stops the run
    """

    ledger: Ledger
    max_calls: int
    deadline: float
    on_call: Callable[[], None] = _nothing
    check: Callable[[], None] = _nothing

    @property
    def tally(self) -> Tally:
        """The sum over the calls so far."""
        return self.ledger.tally

    @property
    def calls_left(self) -> int:
        """How many calls may still be made."""
        return max(0, self.max_calls - self.tally.attempts)

    def remaining_seconds(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline - self.ledger.clock.monotonic())

    def begin_call(self) -> None:
        """Asks whether another call may be made.

        :raise DeadlineExceeded: no time is left
        :raise ProviderUnavailable: no call is left
        """
        self.check()
        if not self.remaining_seconds():
            raise DeadlineExceeded()
        if not self.calls_left:
            raise ProviderUnavailable()
        self.on_call()

    def wait(self, seconds: float) -> None:
        """Waits before a repeat. ``check`` may end the wait by an exception."""
        clock = self.ledger.clock
        until = clock.monotonic() + seconds
        while (left := until - clock.monotonic()) > 0:
            self.check()
            clock.sleep(min(left, 0.2))

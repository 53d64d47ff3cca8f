"""How many requests run at once, and what a refusal stops."""

from __future__ import annotations

import gc
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from types import SimpleNamespace
from typing import Any

import pytest

from functions.shared.canvas.errors import CanvasUnavailable
from functions.shared.canvas.factory import CanvasFactory
from functions.shared.canvas.throttle import (
    MAX_IN_FLIGHT,
    MAX_PAUSE_SECONDS,
    MAX_REFUSED_SECONDS,
    SPACING_SECONDS,
    START_IN_FLIGHT,
    UNSPACED_IN_FLIGHT,
    Slots,
    Stopped,
    Throttle,
    TokenPaused,
    slots_of,
)
from functions.shared.canvas.transport import Counters, Transport
from functions.shared.clock import SystemClock
from functions.shared.http import Answer, Http
from tests.standins.canvas import CanvasStandIn
from tests.support.clocks import HeldClock

COURSE = "/api/v1/courses/1001"


@pytest.fixture
def throttle(clock: HeldClock) -> Throttle:
    return Throttle(clock.sleep, clock.monotonic)


def answers(throttle: Throttle, remaining: float | None = None) -> None:
    """As many requests as may run do so at once, and all are answered."""
    with ExitStack() as running:
        for slot in [running.enter_context(throttle.slot()) for _ in range(throttle.allowed)]:
            throttle.answered(slot, remaining)


def refuses(throttle: Throttle, seconds: float = 2.0) -> None:
    """As many requests as may run do so at once, and all are refused."""
    with ExitStack() as running:
        for slot in [running.enter_context(throttle.slot()) for _ in range(throttle.allowed)]:
            throttle.refused(slot, seconds)


def test_it_grows_while_nothing_is_refused(throttle: Throttle) -> None:
    seen = []
    for _ in range(4):
        seen.append(throttle.allowed)
        answers(throttle)
    assert seen == [START_IN_FLIGHT, 8, MAX_IN_FLIGHT, MAX_IN_FLIGHT]


@pytest.mark.parametrize(
    ("fill", "expected"),
    [(0, MAX_IN_FLIGHT), (100, 9), (300, 5), (380, 3), (420, 2), (590, 1)],
)
def test_what_others_put_into_the_bucket_takes_slots_away(throttle: Throttle, fill: float, expected: int) -> None:
    for _ in range(4):
        answers(throttle, 600 - fill - 50 * throttle.allowed + 50)
    assert throttle.allowed == expected


def test_our_own_requests_do_not_count_as_fill(throttle: Throttle) -> None:
    for _ in range(3):
        answers(throttle)
    answers(throttle, 600 - 50 * MAX_IN_FLIGHT)
    assert throttle.allowed == MAX_IN_FLIGHT, "100 is left because ten of ours are running"


def test_requests_beside_two_others_begin_one_after_another(throttle: Throttle) -> None:
    began = time.monotonic()
    with ExitStack() as running:
        for _ in range(START_IN_FLIGHT):
            running.enter_context(throttle.slot())
    assert time.monotonic() - began >= (START_IN_FLIGHT - UNSPACED_IN_FLIGHT) * SPACING_SECONDS


def test_a_refusal_halves_pauses_and_lets_one_ask(throttle: Throttle, clock: HeldClock) -> None:
    for _ in range(3):
        answers(throttle)
    refuses(throttle, 2.0)
    assert (throttle.allowed, clock.slept) == (1, []), "ten refusals at once are one event"
    with throttle.slot() as slot:
        assert 1.9 <= sum(clock.slept) <= 2.0
        throttle.answered(slot, None)
    assert throttle.allowed == MAX_IN_FLIGHT // 2
    answers(throttle)
    assert throttle.allowed == MAX_IN_FLIGHT


def test_an_answer_from_before_the_refusal_proves_nothing(throttle: Throttle) -> None:
    with throttle.slot() as early, throttle.slot() as late:
        throttle.refused(late, 1.0)
        throttle.answered(early, 500.0)
        assert throttle.allowed == 1


def test_all_wait_for_one_who_sleeps(throttle: Throttle, clock: HeldClock) -> None:
    refuses(throttle)

    def request(_: int) -> None:
        with throttle.slot() as slot:
            throttle.answered(slot, None)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(request, range(8)))
    assert len(clock.slept) == 1


def test_who_is_refused_for_a_minute_is_given_up(throttle: Throttle, clock: HeldClock) -> None:
    began = clock.seconds
    while not throttle.is_exhausted:
        refuses(throttle)
    assert MAX_REFUSED_SECONDS <= clock.seconds - began <= MAX_REFUSED_SECONDS + MAX_PAUSE_SECONDS
    slept = len(clock.slept)
    with pytest.raises(TokenPaused), throttle.slot():
        pass
    assert len(clock.slept) == slept, "at once"
    clock.sleep(MAX_PAUSE_SECONDS)
    answers(throttle)
    assert not throttle.is_exhausted


def test_the_end_of_a_run_ends_all_waiting(throttle: Throttle) -> None:
    with ExitStack() as running, ThreadPoolExecutor(1) as pool:
        for _ in range(throttle.allowed):
            running.enter_context(throttle.slot())
        entered = threading.Event()

        def wait() -> None:
            entered.set()
            with throttle.slot():
                pass

        waiting = pool.submit(wait)
        entered.wait()
        throttle.stop()
        with pytest.raises(Stopped):
            waiting.result(timeout=10)


def test_clients_of_one_token_share_its_slots_and_pauses(clock: HeldClock) -> None:
    slots = Slots()
    run, announcements = (Throttle(clock.sleep, clock.monotonic, slots) for _ in range(2))
    with ExitStack() as running, ThreadPoolExecutor(1) as pool:
        for client in (run, announcements) * (START_IN_FLIGHT // 2):
            running.enter_context(client.slot())
        assert slots.in_flight == START_IN_FLIGHT
        entered = threading.Event()

        def wait() -> None:
            entered.set()
            with announcements.slot() as slot:
                announcements.answered(slot, None)

        waiting = pool.submit(wait)
        entered.wait()
        run.stop()
        assert not waiting.done(), "the token has no slot left"
        running.close()
        waiting.result(timeout=10)  # the end of one client does not stop the other
    refuses(announcements)
    assert run.allowed == 1
    later = Throttle(clock.sleep, clock.monotonic, slots)
    assert clock.slept == []
    with later.slot():
        assert len(clock.slept) == 1, "a refusal that another client met pauses this one"


def test_a_token_has_one_set_of_slots_in_a_process() -> None:
    held = slots_of("one")
    assert slots_of("one") is held
    assert slots_of("two") is not held
    held.limit = 1
    del held
    gc.collect()
    assert slots_of("one").limit == START_IN_FLIGHT, "it is forgotten when nobody uses it"


def test_clients_of_one_integration_share_a_throttle(canvas: CanvasStandIn, http: Http) -> None:
    given: Any = SimpleNamespace(is_local=True, canvas_give_up_seconds=1.0)
    unused: Any = None
    factory = CanvasFactory(given, http, unused, SystemClock(), unused)
    connection = {"instance_domain": canvas.domain, "status": "active", "provider": "canvas"}
    clients = [factory.canvas(connection, name) for name in ("same", "same", "other")]
    run, announcements, other = (client._canvas.transport.throttle for client in clients)
    with announcements.slot() as slot:
        announcements.refused(slot, 1.0)
    assert (run.allowed, other.allowed) == (1, START_IN_FLIGHT)


def test_a_refusal_that_a_waiting_person_meets_pauses_the_token_for_jobs(
    canvas: CanvasStandIn, http: Http, token: str, clock: HeldClock
) -> None:
    canvas.world.add_fault(kind="throttle", times=1)
    slots = Slots()
    person = Transport(http, canvas.url, clock=clock.monotonic, sleep=clock.sleep, total_seconds=6.0, slots=slots)
    job = Transport(http, canvas.url, clock=clock.monotonic, sleep=clock.sleep, slots=slots)
    with pytest.raises(CanvasUnavailable):
        person.get(COURSE, token)
    assert clock.slept == [], "the person is told at once"
    job.get(COURSE, token)
    assert len(clock.slept) == 1


class Counting(Http):
    """Knows how many of its requests ran at once."""

    def __init__(self) -> None:
        super().__init__(local=True)
        self.running = self.most = 0
        self.lock = threading.Lock()

    def request(self, *given: Any, **named: Any) -> Answer:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return super().request(*given, **named)
        finally:
            with self.lock:
                self.running -= 1


@pytest.mark.parametrize(("high_water", "allowed"), [(600.0, MAX_IN_FLIGHT), (320.0, 4)])
def test_a_busy_token_is_hardly_ever_refused(
    canvas: CanvasStandIn, token: str, high_water: float, allowed: int
) -> None:
    switches = canvas.world.switches
    switches.high_water, switches.latency_seconds = high_water, 0.08
    with closing(Counting()) as http:
        real = Transport(http, canvas.url)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: real.get(COURSE, token), range(60)))
        # near a low mark, answers that come out of order on a busy machine may cost one
        assert real.counters.throttled <= (1 if high_water < 600 else 0)
        assert real.counters.requests == 60 + real.counters.throttled
        assert START_IN_FLIGHT <= http.most <= MAX_IN_FLIGHT
        assert real.throttle.allowed <= allowed


class Outage(HeldClock):
    """Canvas refuses everything until this time."""

    def __init__(self, canvas: CanvasStandIn) -> None:
        super().__init__()
        self.canvas = canvas
        self.until = 0.0
        self.lock = threading.Lock()

    def begin(self, seconds: float) -> None:
        """From now on, for so long."""
        self.until = self.seconds + seconds
        self.canvas.world.add_fault(kind="throttle")

    def sleep(self, seconds: float) -> None:
        """Moves the time; at the end of the outage, Canvas answers again."""
        with self.lock:
            super().sleep(seconds)
            if self.seconds >= self.until:
                self.canvas.world.faults.clear()


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("begins", ["before", "in the middle"])
def test_half_a_minute_of_refusals_costs_few_requests(
    canvas: CanvasStandIn, http: Http, token: str, status: int, begins: str
) -> None:
    world = canvas.world
    world.switches.throttle_status, world.switches.latency_seconds = status, 0.02
    clock = Outage(canvas)
    transport = Transport(http, canvas.url, 10.0, Counters(), clock.sleep, clock.monotonic)
    answered = threading.Semaphore(0)

    def request(_: int) -> float:
        transport.get(COURSE, token)
        answered.release()
        return clock.seconds

    with ThreadPoolExecutor(16) as pool:
        if begins == "before":
            clock.begin(30.0)
        running = [pool.submit(request, number) for number in range(60)]
        if begins == "in the middle":
            for _ in range(20):
                answered.acquire()
            with world.lock:
                clock.begin(30.0)
        ended = [future.result(timeout=60) for future in running]
    refused = sum(bool(entry.get("throttled")) for entry in world.requests())
    assert refused == transport.counters.throttled
    # one for each pause, and those that were sent before the first refusal came back: few, unless the machine is busy
    most_at_once = START_IN_FLIGHT if begins == "before" else MAX_IN_FLIGHT
    pauses = len(clock.slept)
    assert refused <= most_at_once - 1 + pauses
    assert pauses <= 7
    again = min(seconds for seconds in ended if seconds >= clock.until)
    assert again - clock.until <= 5.0, "it goes on within five seconds"


def test_an_outage_before_the_first_answer_costs_ten_requests(canvas: CanvasStandIn, http: Http, token: str) -> None:
    """As in a run, whose first request, for the list of courses, goes alone."""
    random.seed(16)
    clock = Outage(canvas)
    transport = Transport(http, canvas.url, 10.0, Counters(), clock.sleep, clock.monotonic)
    clock.begin(30.0)
    transport.get(COURSE, token)
    assert transport.counters.throttled <= 10
    assert clock.seconds - clock.until <= 5.0


def test_a_throttled_token_without_end_is_given_up_by_all(canvas: CanvasStandIn, http: Http, token: str) -> None:
    clock = Outage(canvas)
    transport = Transport(http, canvas.url, 10.0, Counters(), clock.sleep, clock.monotonic)
    clock.begin(10_000.0)

    def request(_: int) -> None:
        with pytest.raises(CanvasUnavailable):
            transport.get(COURSE, token)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(request, range(40)))
    assert transport.counters.throttled <= START_IN_FLIGHT + 14, "the others are not sent at all"

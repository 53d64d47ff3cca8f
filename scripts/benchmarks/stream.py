"""``./scripts/bench stream``: what our streams add to the model's own first word, and what a killed worker loses.

The same question goes to the model stand-in directly and through gateway, functions, queue and worker, from as many
clients at once as the table says. Each client asks again when its answer has ended, so that the streams are spread over
time as those of people are. Added is ours minus the median of the direct ones. Its 95th percentile may be 150 ms when
the functions wake the worker, and 700 ms when it polls.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import httpx
import psycopg

from scripts.native.stack import Options, Stack
from tests.standins.model import ModelStandIn
from tests.support import chat

CHUNK_CHARACTERS = 24
PAUSE_SECONDS = 0.1
TEXT = "".join(f"Sentence {n:03} of an answer. " for n in range(45))  # about 5 s
BOUNDS_MS = {"wake": 150.0, "poll": 700.0}
QUESTION = "What is light made of?"


@contextmanager
def running(model: ModelStandIn, wakes: bool) -> Iterator[Stack]:
    """The platform with this model; its worker is woken, or finds its work by looking."""
    settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "bench", "OPENAI_MODEL": "standin-slow"}
    if not wakes:
        settings["WORKER_WAKE_URL"] = ""
    with Stack(Options(settings=settings, quiet=True)) as stack:
        yield stack


def first_word(client: httpx.Client, method: str, url: str, body: dict[str, object], mark: str) -> float:
    """Seconds until the first event with this mark; reads the stream to its end."""
    began = time.monotonic()
    first: float | None = None
    with client.stream(method, url, json=body) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if first is None and mark in line:
                first = time.monotonic() - began
    if first is None:
        raise RuntimeError(f"{url} sent no text")
    return first


def measured(clients: int, rounds: int, once: Callable[[int], float]) -> list[float]:
    """The times of so many clients at once, each asking so many times; they begin one after the other."""
    times: list[float] = []
    spread = len(TEXT) / CHUNK_CHARACTERS * PAUSE_SECONDS / clients

    def work(number: int) -> None:
        time.sleep(number * spread)
        for _ in range(rounds):
            times.append(once(number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(times) != clients * rounds:
        raise RuntimeError("a stream failed")
    return times


def direct(model: ModelStandIn, clients: int, rounds: int) -> list[float]:
    """Without us."""
    body: dict[str, object] = {
        "model": "standin-slow",
        "stream": True,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    with httpx.Client(trust_env=False, timeout=60, limits=httpx.Limits(max_connections=None)) as client:
        url = f"{model.url}/chat/completions"
        return measured(clients, rounds, lambda _: first_word(client, "POST", url, body, '"content": "Sent'))


def ours(stack: Stack, clients: int, rounds: int) -> list[float]:
    """Through gateway, functions, queue and worker; each client has a thread of its own."""
    with chat.teacher(stack) as person:
        threads = [chat.thread(person) for _ in range(clients)]

        def once(number: int) -> float:
            url = f"{stack.functions_url}/chat/threads/{threads[number]}/messages"
            with httpx.Client(trust_env=False, timeout=60, headers=person.functions.headers) as client:
                return first_word(client, "POST", url, dict(chat.body(QUESTION)), '"text-delta"')

        # connections and imports of the first answer are not what is measured
        once(0)
        return measured(clients, rounds, once)


def lost_on_kill(stack: Stack, model: ModelStandIn, times: int) -> list[float]:
    """Seconds of the model's text that were not stored when the worker was killed, for each of so many kills."""
    lost: list[float] = []
    with chat.teacher(stack) as person, psycopg.connect(stack.db_url, autocommit=True) as db:
        for number in range(times):
            thread_id = chat.thread(person)
            model.requests.clear()
            answer_id = chat.ask(person, thread_id, chat.body(QUESTION), most=1).message_id
            while not model.requests:
                time.sleep(0.01)
            time.sleep(1.0 + number * 0.137 % 1.0)
            killed_at = time.time()
            os.kill(int((stack.log_dir / "worker.pid").read_text()), signal.SIGKILL)
            row = db.execute("select private.stream_text(%s)", (uuid.UUID(answer_id),)).fetchone()
            chunks = len(row[0]) / CHUNK_CHARACTERS if row else 0
            lost.append(max(0.0, killed_at - model.requests[0]["at"] - chunks * PAUSE_SECONDS))
            person.functions.post(f"/chat/threads/{thread_id}/stop")
            time.sleep(3.0)  # the stack starts another worker
    return lost


def percentile(times: Sequence[float], share: float) -> float:
    """The value that this share of the times does not exceed."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def main(argv: Sequence[str]) -> int:
    """Prints the table; 1 when a bound is exceeded."""
    parser = argparse.ArgumentParser(prog="./scripts/bench stream", description=__doc__)
    parser.add_argument("--streams", default="1,10,50", help="how many clients at once, comma separated")
    parser.add_argument(
        "--rounds", type=int, default=4, help="answers of each client; one client gets ten times as many"
    )
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="prints the numbers as JSON, too")
    given = parser.parse_args(argv)
    rows: list[dict[str, object]] = []
    with ModelStandIn() as model:
        model.say(default="slow", text=TEXT, pause_seconds=PAUSE_SECONDS)
        for way, bound in BOUNDS_MS.items():
            with running(model, wakes=way == "wake") as stack:
                for clients in map(int, given.streams.split(",")):
                    rounds = given.rounds * (5 if clients == 1 else 1)
                    base = statistics.median(direct(model, clients, rounds))
                    added = [(seconds - base) * 1000 for seconds in ours(stack, clients, rounds)]
                    p50, p95 = percentile(added, 0.5), percentile(added, 0.95)
                    rows.append({"way": way, "streams": clients, "direct": base * 1000, "p50": p50, "p95": p95})
                    print(
                        f"{way}, {clients:2} streams: direct {base * 1000:6.1f} ms; added p50 {p50:6.1f} ms, "
                        f"p95 {p95:6.1f} ms of {bound:.0f}; ratio {p95 / bound:.2f} ({len(added)} answers)",
                        flush=True,
                    )
                if way == "wake" and given.kills:
                    lost = lost_on_kill(stack, model, given.kills)
                    print(
                        f"SIGKILL of the worker: text of {statistics.median(lost) * 1000:.0f} ms lost at the median, "
                        f"{max(lost) * 1000:.0f} ms at most ({len(lost)} kills)",
                        flush=True,
                    )
    if given.json:
        print(json.dumps(rows))
    return int(any(float(str(row["p95"])) > BOUNDS_MS[str(row["way"])] for row in rows))

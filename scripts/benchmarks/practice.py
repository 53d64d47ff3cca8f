"""``./scripts/bench practice``: how fast practice finds out what students can, and how many answers a second it takes.

The world: abilities are normal (1 logit) around 0. Authors give each level equally often, and the true difficulty
differs from what the level says by 1 logit. A student of ability t solves an item of difficulty b with the chance
1 / (1 + e^(b - t)).
Error: root mean square of estimate minus truth, in points. Zone: share of items whose true chance is .65 to .85.

Part 1, plain Python: the plain Elo rating with fixed items beside ours, over several seeds. Part 2 asks the database:
each student picks and answers through the RPCs in parallel sessions, with a night after every fifth round. Then all
keys are sent again, which must move nothing, and every student's answers are computed again by the model.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg

from scripts.benchmarks import _practice as model
from scripts.native.stack import Options, Stack

Connection = psycopg.Connection[Any]

SEED = 15
LABEL_ERROR = 1.0
ZONE = (0.65, 0.85)
ROUNDS_A_NIGHT = 5
MAX_ERROR_AT_50, MIN_ZONE = 65.0, 0.42
PERSON = """
insert into auth.users (id, instance_id, aud, role, email, raw_app_meta_data, raw_user_meta_data, created_at,
    updated_at, email_confirmed_at, confirmation_token, recovery_token, email_change_token_new, email_change)
values (%s, '00000000-0000-0000-0000-000000000000', 'authenticated', 'authenticated', %s, '{"role": "student"}', '{}',
    now(), now(), now(), '', '', '', '')"""
PICK = "select id, bank_item_id from public.svc_pick_practice(%s, %s, 1, p_seed => %s)"
RECORD = "select public.svc_record_answer(%s, %s, %s, 'x', %s::numeric, 'rule')"


@dataclass
class World:
    """The truth: abilities and difficulties in logits, and the levels that authors gave."""

    abilities: list[float]
    difficulties: list[float]
    levels: list[int]

    @classmethod
    def of(cls, dice: random.Random, students: int, items: int) -> World:
        """A world of these sizes."""
        abilities = [dice.gauss(0, 1) for _ in range(students)]
        middle = statistics.fmean(abilities)
        levels = [dice.randint(1, 10) for _ in range(items)]
        difficulties = [(level - 5.5) * 100 / model.POINTS_PER_LOGIT + dice.gauss(0, LABEL_ERROR) for level in levels]
        return cls([one - middle for one in abilities], difficulties, levels)

    def answers(self, dice: random.Random, student: int, item: int) -> float:
        """Whether a student solves an item this time."""
        return float(dice.random() < self.chance(student, item))

    def chance(self, student: int, item: int) -> float:
        """The true chance."""
        return model.success(self.abilities[student], self.difficulties[item])

    def labels(self) -> list[float]:
        """What the levels say, in logits."""
        return [(level - 5.5) * 100 / model.POINTS_PER_LOGIT for level in self.levels]


@dataclass
class Figures:
    """What a run found: errors at 10 and at the end, in points, and the share of items in the zone."""

    at_10: float
    at_end: float
    zone: float


def error(estimates: Sequence[float], truths: Sequence[float]) -> float:
    """Root mean square in points; both in logits."""
    squares = [(estimate - truth) ** 2 for estimate, truth in zip(estimates, truths, strict=True)]
    return model.POINTS_PER_LOGIT * math.sqrt(statistics.fmean(squares))


def is_in_zone(chance: float) -> bool:
    """Whether an item was neither too hard nor too easy."""
    return ZONE[0] <= chance <= ZONE[1]


def simulate(world: World, dice: random.Random, answers: int, *, is_ours: bool) -> Figures:
    """A run in plain Python. Ours, or Elo with K = 32, items as labelled and the nearest to 75 %."""
    labels = world.labels()
    items = [model.Estimate(b, 0.5) for b in labels]
    students = [model.Estimate() for _ in world.abilities]
    ratings = [1000 for _ in students]
    unseen = [set(range(len(items))) for _ in students]
    hits: list[bool] = []
    at_10 = 0.0
    for number in range(answers):
        for place, student in enumerate(students):
            theta = student.mean if is_ours else (ratings[place] - 1000) / model.POINTS_PER_LOGIT
            is_placement = number < 5 and model.POINTS_PER_LOGIT * math.sqrt(student.variance) >= 100
            wish = model.wish(dice.getrandbits(62), 1, is_placement) if is_ours else 0.75
            wished_b = theta - math.log(wish / (1 - wish))
            chosen = min(unseen[place], key=lambda item: abs(items[item].mean - wished_b))
            if is_ours and dice.random() < 0.05:
                chosen = dice.choice(sorted(unseen[place]))
            unseen[place].discard(chosen)
            score = world.answers(dice, place, chosen)
            hits.append(is_in_zone(world.chance(place, chosen)))
            if is_ours:
                model.learn(student, items[chosen], score)
            else:
                question = round(1000 + labels[chosen] * model.POINTS_PER_LOGIT)
                ratings[place] = model.elo(ratings[place], question, score)[0]
        if is_ours and (number + 1) % ROUNDS_A_NIGHT == 0:
            shift = statistics.fmean(item.mean - b for item, b in zip(items, labels, strict=True))
            for item in items:
                item.mean -= shift
        if number == 9:
            at_10 = error(estimates(students, ratings, is_ours), world.abilities)
    return Figures(at_10, error(estimates(students, ratings, is_ours), world.abilities), statistics.fmean(hits))


def estimates(students: Sequence[model.Estimate], ratings: Sequence[int], is_ours: bool) -> list[float]:
    """What a run believes, in logits."""
    if is_ours:
        return [student.mean for student in students]
    return [(rating - 1000) / model.POINTS_PER_LOGIT for rating in ratings]


class Database:
    """A world in the database."""

    def __init__(self, url: str, world: World) -> None:
        self.url, self.world = url, world
        self.subject = str(uuid.uuid4())
        self.students = [str(uuid.uuid4()) for _ in world.abilities]
        self.items = [str(uuid.uuid4()) for _ in world.difficulties]
        self.places = {item: place for place, item in enumerate(self.items)}
        self.sent: list[tuple[str, str, str, float]] = []
        self.hits: list[bool] = []
        with psycopg.connect(url) as db:
            db.execute("insert into public.subjects (id, name) values (%s, %s)", (self.subject, self.subject))
            for student in self.students:
                db.execute(PERSON, (student, f"{student}@example.test"))
            for item, level in zip(self.items, world.levels, strict=True):
                db.execute(
                    "insert into public.practice_bank_items"
                    " (id, question_text, subject_id, difficulty_level, created_by) values (%s, '?', %s, %s, %s)",
                    (item, self.subject, level, self.students[0]),
                )
                db.execute("insert into public.practice_bank_answers (item_id, answer_text) values (%s, 'x')", (item,))

    def round(self, sessions: Sequence[Connection], pool: ThreadPoolExecutor, number: int, seed: int) -> None:
        """Each student picks an item and answers it; a session serves every so many students."""

        def serve(offset: int) -> None:
            for place in range(offset, len(self.students), len(sessions)):
                self.one(sessions[offset], place, number, seed)

        list(pool.map(serve, range(len(sessions))))

    def one(self, session: Connection, place: int, number: int, seed: int) -> None:
        """One pick and one answer."""
        dice = random.Random(f"{seed}:{place}:{number}")
        student = self.students[place]
        picked = session.execute(PICK, (student, self.subject, dice.getrandbits(62))).fetchone()
        assert picked is not None, "the bank is empty"
        item = self.places[str(picked[1])]
        score = self.world.answers(dice, place, item)
        self.hits.append(is_in_zone(self.world.chance(place, item)))
        self.sent.append((student, str(picked[0]), f"key-{picked[0]}", score))
        session.execute(RECORD, self.sent[-1])

    def figures(self, db: Connection) -> tuple[float, float]:
        """The errors of ability and of the Elo rating now, in points."""
        rows = db.execute(
            "select student_id::text, ability, rating from public.student_ratings where subject_id = %s",
            (self.subject,),
        ).fetchall()
        found = {student: (ability, rating) for student, ability, rating in rows}
        values = [found[student] for student in self.students]
        ours = [(float(ability) - 1000) / model.POINTS_PER_LOGIT for ability, _ in values]
        elo = [(rating - 1000) / model.POINTS_PER_LOGIT for _, rating in values]
        return error(ours, self.world.abilities), error(elo, self.world.abilities)

    def state(self, db: Connection) -> list[tuple[Any, ...]]:
        """Everything that an answer moves."""
        return db.execute(
            "select r.student_id, r.rating, r.ability, r.answers, (select sum(amount) from private.xp_events as x"
            " where x.student_id = r.student_id), (select count(*) from public.practice_attempts as a"
            " where a.student_id = r.student_id) from public.student_ratings as r where subject_id = %s order by 1",
            (self.subject,),
        ).fetchall()

    def farthest(self, db: Connection) -> float:
        """How far any stored ability is from the model's, computed from the log; in logits."""
        most = 0.0
        for student in self.students:
            estimate = model.Estimate()
            stored = 0.0
            for score, b, variance, after in db.execute(
                "select score, b_before, item_variance_before, theta_after from public.practice_attempts"
                " where student_id = %s order by seq",
                (student,),
            ):
                model.learn(estimate, model.Estimate(b, variance), float(score))
                stored = after
                most = max(most, abs(stored - estimate.mean))
        return most


def ask_database(url: str, world: World, answers: int, sessions: int, seed: int) -> bool:
    """Part 2; whether what must hold does."""
    here = Database(url, world)
    connections = [psycopg.connect(url, autocommit=True) for _ in range(sessions)]
    spent = 0.0
    with psycopg.connect(url, autocommit=True) as db, ThreadPoolExecutor(sessions) as pool:
        for number in range(answers):
            started = time.monotonic()
            here.round(connections, pool, number, seed)
            spent += time.monotonic() - started
            if (number + 1) % ROUNDS_A_NIGHT == 0:
                db.execute("select public.svc_recenter_items()")
            if number + 1 in (10, answers):
                ours, elo = here.figures(db)
                print(f"  after {number + 1:3} answers: ability {ours:5.1f} points of error, Elo rating {elo:5.1f}")
        total = len(here.sent)
        zone = statistics.fmean(here.hits)
        print(f"  zone {zone:.2f}; {total / spent:.0f} answers a second, each with its pick, in {sessions} sessions")
        before = here.state(db)
        started = time.monotonic()
        list(pool.map(lambda place: [connections[place].execute(RECORD, sent) for sent in here.sent[place::sessions]],
                      range(sessions)))  # fmt: skip
        repeated = time.monotonic() - started
        counted = sum(row[-1] for row in before)
        is_same = here.state(db) == before and counted == total
        verdict = "nothing moved" if is_same else "SOMETHING MOVED"
        print(f"  {counted} of {total} counted; all keys again ({total / repeated:.0f} a second): {verdict}")
        far = here.farthest(db)
        print(f"  farthest from the model: {far:.1e} logits")
        ours, _ = here.figures(db)
    for connection in connections:
        connection.close()
    return is_same and far < 1e-6 and (answers < 50 or (ours <= MAX_ERROR_AT_50 and zone >= MIN_ZONE))


def simulations(students: int, items: int, answers: int, seeds: int) -> None:
    """Part 1 for one size."""
    print(f"model alone: {students} students, {items} items, {answers} answers, {seeds} seeds")
    for name, is_ours in (("Elo, K = 32, fixed items", False), ("ours", True)):
        found = []
        for seed in range(seeds):
            dice = random.Random(SEED + seed)
            found.append(simulate(World.of(dice, students, items), dice, answers, is_ours=is_ours))
        ends = [one.at_end for one in found]
        spread = statistics.stdev(ends) / math.sqrt(len(ends)) if len(ends) > 1 else 0.0
        print(
            f"  {name:25} error at 10 {statistics.fmean(one.at_10 for one in found):5.1f}, at {answers}"
            f" {statistics.fmean(ends):5.1f} ± {spread:.1f}, zone {statistics.fmean(one.zone for one in found):.2f}"
        )


def main(argv: Sequence[str]) -> int:
    """Runs both parts; 1 when something that must hold does not."""
    parser = argparse.ArgumentParser(prog="./scripts/bench practice", description=__doc__)
    for name, value in (("students", 100), ("items", 200), ("answers", 50), ("seeds", 10), ("sessions", 8),
                        ("model-students", 500), ("model-items", 500), ("model-seeds", 2)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    sizes = parser.parse_args(argv)
    simulations(sizes.students, sizes.items, sizes.answers, sizes.seeds)
    if sizes.model_students:
        simulations(sizes.model_students, sizes.model_items, sizes.answers, sizes.model_seeds)
    print(f"database: {sizes.students} students, {sizes.items} items, {sizes.answers} answers")
    world = World.of(random.Random(SEED), sizes.students, sizes.items)
    with Stack(Options(without=frozenset({"functions", "worker", "model"}), quiet=True)) as stack:
        return 0 if ask_database(stack.db_url, world, sizes.answers, sizes.sessions, SEED) else 1

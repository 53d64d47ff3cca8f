"""``./scripts/calibrate-confidence``: makes the confidence of answers say what tutors found.

It reads the verdicts of tutors (``rate_answer``), fits a table by isotonic regression, and adds it as a new version of
the calibrator. A subject with 200 judged answers gets a table of its own. All other answers are pooled, and the pooled
table is for every subject without one. With fewer than 200 pooled answers nothing is fitted.

For each table it prints how good chances were before and are now: expected calibration error over ten bins of equal
count, Brier score, and area under the curve. "After" is measured by cross-validation: each answer by a table that was
made without it. Answers that were given before keep the confidence that they were given with.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from functions.tutoring.questions import calibration
from functions.tutoring.questions.calibration import Pair, Quality
from functions.tutoring.questions.confidence import FEATURES, MAX_UNCALIBRATED

Connection = psycopg.Connection[dict[str, Any]]

MIN_ANSWERS = 200
# the calibrator of a version reads scores that were made as now; several tutors decide by majority, a tie is wrong
VERDICTS = """
select q.id, q.subject_id, s.name as subject, q.raw_score::double precision as score,
       2 * count(*) filter (where v.is_correct) > count(*) as is_right, bool_or(v.seen_label) as is_seen
from private.qa_verdicts as v
join public.qa_interactions as q on q.id = v.qa_id
left join public.subjects as s on s.id = q.subject_id
left join private.confidence_calibrators as c on c.version = q.calibrator_version
where q.status = 'complete' and q.raw_score is not null and coalesce(c.features, %(features)s) = %(features)s
    -- a Low that was forced says nothing about its score
    and q.metrics -> 'evidence' ->> 'forced_low' is null and not q.out_of_scope
group by q.id, q.subject_id, s.name, q.raw_score
order by q.id
"""


class Outcome(NamedTuple):
    """What happened to one table."""

    name: str
    version: int | None
    answers: int
    seen: int
    before: Quality | None
    after: Quality | None


def groups(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str | None, str], list[Mapping[str, Any]]]:
    """The verdicts by the table that they make: subjects with enough of them, and the pool of the others."""
    by_subject: dict[tuple[str | None, str], list[Mapping[str, Any]]] = {}
    pool: list[Mapping[str, Any]] = []
    for row in rows:
        by_subject.setdefault((row["subject_id"] and str(row["subject_id"]), row["subject"] or ""), []).append(row)
    found: dict[tuple[str | None, str], list[Mapping[str, Any]]] = {}
    for (subject_id, name), some in by_subject.items():
        if subject_id is not None and len(some) >= MIN_ANSWERS:
            found[subject_id, name] = some
        else:
            pool += some
    return {**found, (None, "all other subjects"): pool}


def calibrate(db: Connection, *, is_trial: bool) -> list[Outcome]:
    """Fits and stores each table in one transaction."""
    outcomes = []
    with db.transaction():
        # one at a time, so that two versions do not both become the one at work
        db.execute("select pg_advisory_xact_lock(hashtextextended('calibrate-confidence', 0))")
        rows = db.execute(VERDICTS, {"features": FEATURES}).fetchall()
        for (subject_id, name), some in groups(rows).items():
            outcomes.append(_one(db, subject_id, name, some, is_trial=is_trial))
    return outcomes


def _one(
    db: Connection, subject_id: str | None, name: str, rows: Sequence[Mapping[str, Any]], *, is_trial: bool
) -> Outcome:
    seen = sum(row["is_seen"] for row in rows)
    if len(rows) < MIN_ANSWERS:
        return Outcome(name, None, len(rows), seen, None, None)
    pairs: list[Pair] = [(row["score"], row["is_right"]) for row in rows]
    args = {"subject": subject_id, "features": FEATURES}
    known = db.execute("select * from public.svc_get_calibrator(%(subject)s, %(features)s)", args).fetchone()
    before = [
        (min(score, MAX_UNCALIBRATED) if known is None else calibration.chance(known["steps"], score), is_right)
        for score, is_right in pairs
    ]
    version = None
    if not is_trial:
        db.execute(
            "update private.confidence_calibrators set is_active = false"
            " where is_active and subject_id is not distinct from %s",
            (subject_id,),
        )
        made = db.execute(
            "insert into private.confidence_calibrators (subject_id, features, steps, answers)"
            " values (%s, %s, %s, %s) returning version",
            (subject_id, FEATURES, Jsonb(calibration.fit(pairs)), len(pairs)),
        ).fetchone()
        version = None if made is None else int(made["version"])
    after = calibration.quality(calibration.crossed(pairs))
    return Outcome(name, version, len(pairs), seen, calibration.quality(before), after)


def report(outcomes: Sequence[Outcome]) -> None:
    """Prints what was done, and how good it is."""
    for one in outcomes:
        if one.before is None or one.after is None:
            missing = MIN_ANSWERS - one.answers
            print(f"{one.name}: {one.answers} judged answers, {missing} too few; nothing was changed")
            continue
        told = "not stored" if one.version is None else f"version {one.version}"
        print(f"{one.name}: {told}, {one.answers} judged answers, {one.seen} by tutors who saw the label")
        print(f"{'':10}{'ECE':>8}{'Brier':>8}{'AUROC':>8}")
        for when, quality in (("before", one.before), ("after", one.after)):
            area = "-" if quality.auroc is None else f"{quality.auroc:.3f}"
            print(f"{when:10}{quality.ece:8.3f}{quality.brier:8.3f}{area:>8}")


def main(arguments: Sequence[str]) -> int:
    """Calibrates and reports; 1 when the database cannot be used."""
    parser = argparse.ArgumentParser("./scripts/calibrate-confidence", description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--trial", action="store_true", help="print the figures and store nothing")
    given = parser.parse_args(arguments)
    url = os.environ.get("DATABASE_URL")
    if not url:
        print("headstart: DATABASE_URL is not set: give the connection string of the database's owner", file=sys.stderr)
        return 1
    try:
        # not prepared: poolers hand each transaction to another session
        with psycopg.connect(url, autocommit=True, prepare_threshold=None, row_factory=dict_row) as db:
            outcomes = calibrate(db, is_trial=given.trial)
    except psycopg.Error as problem:
        print(f"headstart: {problem}", file=sys.stderr)
        return 1
    report(outcomes)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

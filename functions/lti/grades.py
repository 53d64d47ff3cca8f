"""Scores for the platform's gradebook (Assignment and Grade Services): the outbox, and what sends it.

A score is stored together with the job that sends it. Its timestamp is the moment when the teacher sent it, also when
the platform is down for hours: a grade that a teacher changed there meanwhile is newer, and stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from functions.lti.course_launches import course_launch
from functions.lti.errors import LineItemMissing, ServiceNotOffered
from functions.lti.launch import GRADES, clean
from functions.lti.platform_tokens import (
    CALL_SECONDS,
    TOKEN_SECONDS,
    PlatformServices,
    PlatformTokens,
    bad_answer,
    json_of,
    services_for,
)
from functions.shared.database import Database, rpc, rpc_row
from functions.shared.jobs import JobContext, JobFailure
from functions.shared.tokens import Caller

SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
LINE_ITEM_SCOPE, SCORE_SCOPE = f"{SCOPE}lineitem", f"{SCOPE}score"
LINE_ITEM = "application/vnd.ims.lis.v2.lineitem+json"
LINE_ITEMS = "application/vnd.ims.lis.v2.lineitemcontainer+json"
SCORE = "application/vnd.ims.lis.v1.score+json"
# tells line items that we made for scores from those that came with a deep link
TAG = "headstart-score"
MAX_URL_CHARACTERS = 2000
LEASE_SECONDS = 150
BATCH = 5
MAX_REPORTED = 50
# two attempts with a new token each, and the database's answer
ANSWERED_SECONDS = 2 * (TOKEN_SECONDS + CALL_SECONDS) + 10


@dataclass(frozen=True)
class Score:
    """What a teacher sends for one person. Points are of ``score_maximum``; the progress is in the words of LTI."""

    user_id: str
    score_given: float | None
    score_maximum: float | None
    activity_progress: str
    grading_progress: str
    comment: str | None


@dataclass(frozen=True)
class OwnLineItem:
    """A line item of ours, for a link that has none."""

    resource_id: str
    label: str


def queue_score(database: Database, caller: Caller, launch_id: str, score: Score, own: OwnLineItem | None) -> str:
    """Stores a score, and the job that sends it; the job's id.

    :param own: the line item to find or make; without it the score goes to that of the launched link
    :raise NotFound: the launch is not the caller's, or the person has not come in from its course
    :raise Forbidden: the caller does not teach the course now
    :raise RegistrationPending, DeploymentDisabled: switched off since the launch
    :raise ServiceNotOffered: the platform does not let us send scores
    :raise LineItemMissing: the link has no line item, and none is named
    """
    launch = course_launch(database, caller, launch_id, must_teach=True)
    endpoint = launch.claims.raw.get(GRADES)
    offered = endpoint if isinstance(endpoint, dict) else {}
    scopes = offered.get("scope")
    needed = {SCORE_SCOPE} if own is None else {SCORE_SCOPE, LINE_ITEM_SCOPE}
    if not isinstance(scopes, list) or not needed <= {scope for scope in scopes if isinstance(scope, str)}:
        raise ServiceNotOffered
    url = offered.get("lineitem" if own is None else "lineitems")
    if not isinstance(url, str) or not 0 < len(url) <= MAX_URL_CHARACTERS:
        raise LineItemMissing if own is None else ServiceNotOffered
    args = {
        "p_launch_id": launch_id,
        "p_teacher_id": caller.user_id,
        "p_user_id": score.user_id,
        "p_score": {name: value for name, value in vars(score).items() if name != "user_id"},
        "p_url" if own is None else "p_lineitems_url": url,
        "p_resource_id": own.resource_id if own is not None else None,
        "p_label": own.label if own is not None else None,
    }
    return str(rpc_row(database.service(), "svc_queue_lti_score", args)["job_id"])


@dataclass
class _Report:
    """What a run did."""

    sent: int = 0
    outdated: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)

    def result(self) -> dict[str, Any]:
        """The job's result."""
        found = {"sent": self.sent, "outdated": self.outdated, "refused": len(self.refused)}
        return {**found, "refusals": self.refused[:MAX_REPORTED]}


class ScoreSender:
    """Sends the pending scores of one line item, in the order in which they were stored."""

    def __init__(self, context: JobContext, tokens: PlatformTokens) -> None:
        self._context = context
        self._tokens = tokens
        self._service = context.database.service()
        self._line_item_id = str(context.job.payload["line_item_id"])
        # each attempt is a holder of its own: one that lost its lease must not go on with the next one's
        self._holder = context.job.lease_token
        self._report = _Report()

    def run(self) -> Mapping[str, Any]:
        """The job's result: how many were sent, outdated and refused, and whose were refused and why.

        :raise JobFailure: the platform is down, or refuses all; scores that were not settled stay pending
        """
        try:
            while self._batch():
                self._context.check_cancelled()
        finally:
            args = {"p_line_item_id": self._line_item_id, "p_holder": self._holder}
            rpc(self._service, "svc_give_back_lti_line_item", args, safe=True)
        if self._report.refused and not self._report.sent:
            raise JobFailure(
                self._report.refused[0]["code"],
                "Canvas does not take these scores. Check that the people are students of the course.",
                retryable=False,
                detail=f"{len(self._report.refused)} refused",
            )
        return self._report.result()

    def _batch(self) -> bool:
        """Sends some scores; whether there may be more."""
        until = self._context.clock.monotonic() + LEASE_SECONDS
        args = {"p_line_item_id": self._line_item_id, "p_holder": self._holder, "p_seconds": LEASE_SECONDS}
        item = rpc(self._service, "svc_take_lti_scores", {**args, "p_limit": BATCH}, safe=True)
        match item["outcome"]:
            case "empty" | "gone":
                return False
            case "busy":
                raise JobFailure(
                    "lti_scores_busy",
                    "Other scores of this column are being sent. We send these after them.",
                    retry_after_s=int(item["seconds"]),
                )
            case "disabled":
                raise JobFailure(
                    "lti_deployment_disabled",
                    "This connection to Canvas is switched off. Ask your Canvas administrator.",
                    retryable=False,
                )
        services = services_for(self._context, self._tokens, item["registration_id"])
        url = item["url"] or self._placed(services, item)
        for score in item["scores"]:
            self._context.check_cancelled()
            # an answer may take until the lease is over, and then another attempt sends the newer scores
            if self._context.clock.monotonic() > until - ANSWERED_SECONDS:
                break
            self._send(services, url, score, is_ours=item["resource_id"] is not None)
        return True

    def _send(self, services: PlatformServices, url: str, score: Mapping[str, Any], *, is_ours: bool) -> None:
        """Sends one score. Its fate is noted; a failure that may pass leaves it pending."""
        try:
            answer = services.request(
                "POST", scores_url(url), [SCORE_SCOPE], body=score_body(score), content_type=SCORE
            )
        except JobFailure as failure:
            self._settle(score, "pending", failure.code)
            raise
        if 200 <= answer.status < 300:
            self._settle(score, "sent")
            self._report.sent += 1
        elif answer.status == 409 or (answer.status == 400 and "timestamp" in answer.text[:2000].lower()):
            # a newer result is there, or this very one, whose answer was lost
            self._settle(score, "outdated", "lti_score_outdated")
            self._report.outdated += 1
        elif answer.status in (404, 410):
            # somebody deleted the column; one of ours is made again by the next score
            if is_ours:
                self._place(None)
            self._refuse(score, "lti_line_item_missing")
        elif answer.status in (400, 422):
            self._refuse(score, "lti_score_refused")
        else:
            self._settle(score, "pending", "lti_bad_answer")
            raise bad_answer(f"status {answer.status}")

    def _refuse(self, score: Mapping[str, Any], code: str) -> None:
        self._settle(score, "refused", code)
        self._report.refused.append({"user_id": score["user_id"], "code": code})

    def _settle(self, score: Mapping[str, Any], status: str, code: str | None = None) -> None:
        args = {"p_score_id": score["id"], "p_holder": self._holder, "p_status": status, "p_error_code": code}
        rpc(self._service, "svc_settle_lti_score", args, safe=True)

    # ---- line items of ours -----------------------------------------------------------------------------------------

    def _placed(self, services: PlatformServices, item: Mapping[str, Any]) -> str:
        """The address of a line item of ours, which is made when the platform has none."""
        url = self._found(services, item) or self._made(services, item)
        self._place(url)
        return url

    def _found(self, services: PlatformServices, item: Mapping[str, Any]) -> str | None:
        wanted = {"resource_id": item["resource_id"], "tag": TAG}
        first = with_query(item["lineitems_url"], wanted)
        for answer, _ in services.pages(first, [LINE_ITEM_SCOPE], accept=LINE_ITEMS):
            listed = json_of(answer)
            for one in listed if isinstance(listed, list) else []:
                # a platform may ignore the filter
                if (
                    isinstance(one, dict)
                    and one.get("resourceId") == item["resource_id"]
                    and one.get("tag") == TAG
                    and _is_url(one.get("id"))
                ):
                    return str(one["id"])
        return None

    def _made(self, services: PlatformServices, item: Mapping[str, Any]) -> str:
        body = {
            "scoreMaximum": item["score_maximum"],
            "label": item["label"],
            "resourceId": item["resource_id"],
            "tag": TAG,
        }
        answer = services.request(
            "POST", item["lineitems_url"], [LINE_ITEM_SCOPE], accept=LINE_ITEM, body=body, content_type=LINE_ITEM
        )
        made = json_of(answer)
        if not isinstance(made, dict) or not _is_url(made.get("id")):
            raise bad_answer("a line item without an address")
        return str(made["id"])

    def _place(self, url: str | None) -> None:
        args = {"p_line_item_id": self._line_item_id, "p_holder": self._holder, "p_url": url}
        if not rpc(self._service, "svc_place_lti_line_item", args, safe=True):
            raise JobFailure("lti_scores_busy", "Other scores of this column are being sent.", detail="lease lost")


def score_body(score: Mapping[str, Any]) -> dict[str, Any]:
    """A score as the platform reads it. The timestamp has milliseconds, which are what makes it later than the last."""
    at = datetime.fromisoformat(score["scored_at"]).astimezone(UTC)
    body = {
        "userId": score["sub"],
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z",
        "activityProgress": score["activity_progress"],
        "gradingProgress": score["grading_progress"],
        "scoreGiven": score["score_given"],
        "scoreMaximum": score["score_maximum"],
        "comment": score["comment"],
    }
    return {name: value for name, value in body.items() if value is not None}


def scores_url(line_item_url: str) -> str:
    """Where the scores of a line item go: below its path, before its query."""
    parts = urlsplit(line_item_url)
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path}/scores", parts.query, ""))


def with_query(url: str, wanted: Mapping[str, str]) -> str:
    """A URL with further parameters, after those it has."""
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(wanted)}"


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_URL_CHARACTERS and clean(value) == value

"""Rosters (Names and Role Provisioning Services): who is in a course now, page by page, into private.lti_memberships.

Only people with an account here are kept. Names and addresses of the list are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.lti.course_launches import course_launch
from functions.lti.errors import ServiceNotOffered
from functions.lti.launch import MAX_ID_CHARACTERS, NAMES_AND_ROLES, clean
from functions.lti.platform_tokens import PlatformServices, PlatformTokens, bad_answer, json_of, services_for
from functions.lti.roles import course_roles, role_of
from functions.shared.database import Database, rpc
from functions.shared.jobs import JobContext, JobFailure
from functions.shared.tokens import Caller

SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
MEMBERSHIPS = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
MAX_URL_CHARACTERS = 2000
LEASE_SECONDS = 120
# what a platform answers for the page of a list that it no longer keeps
EXPIRED = frozenset({400, 404, 410})


def queue_roster(database: Database, caller: Caller, launch_id: str) -> str:
    """Starts to read the roster of a launch's course; the job's id.

    :raise NotFound: the launch is not the caller's
    :raise Forbidden: the caller does not teach the course now
    :raise RegistrationPending, DeploymentDisabled: switched off since the launch
    :raise ServiceNotOffered: the platform does not let us read it
    """
    launch = course_launch(database, caller, launch_id, must_teach=True)
    offered = launch.claims.raw.get(NAMES_AND_ROLES)
    url = offered.get("context_memberships_url") if isinstance(offered, dict) else None
    if not isinstance(url, str) or not 0 < len(url) <= MAX_URL_CHARACTERS:
        raise ServiceNotOffered
    args = {"p_launch_id": launch_id, "p_teacher_id": caller.user_id, "p_memberships_url": url}
    return str(rpc(database.service(), "svc_queue_lti_roster", args, safe=True))


class RosterReader:
    """Reads the roster of one course, from where an interrupted attempt of the same job stopped."""

    def __init__(self, context: JobContext, tokens: PlatformTokens) -> None:
        self._context = context
        self._tokens = tokens
        self._service = context.database.service()
        payload = context.job.payload
        self._course = {"p_deployment": payload["deployment_id"], "p_context_id": payload["context_id"]}
        # each attempt is a holder of its own: one that lost its lease must not go on with the next one's
        self._holder = context.job.lease_token
        self._known = 0
        self._left = 0
        self._members = 0

    def run(self) -> Mapping[str, Any]:
        """The job's result: how many people the list names, how many of them are known here, and how many left.

        :raise JobFailure: the platform is down or refuses; nobody is marked as gone before the entire list was read
        """
        try:
            begun = self._begin()
            services = services_for(self._context, self._tokens, begun["registration_id"])
            if not self._read(services, begun["url"], may_restart=begun["goes_on"]):
                self._read(services, self._begin(from_start=True)["url"], may_restart=False)
        finally:
            rpc(self._service, "svc_give_back_lti_roster", {**self._course, "p_holder": self._holder}, safe=True)
        return {"members": self._members, "known": self._known, "left": self._left}

    def _begin(self, *, from_start: bool = False) -> dict[str, Any]:
        args = {
            **self._course,
            "p_teacher_id": self._context.job.user_id,
            "p_run": self._context.job.job_id,
            "p_holder": self._holder,
            "p_seconds": LEASE_SECONDS,
            "p_from_start": from_start,
        }
        begun: dict[str, Any] = rpc(self._service, "svc_begin_lti_roster", args, safe=True)
        match begun["outcome"]:
            case "busy":
                raise _busy(int(begun["seconds"]))
            case "ok":
                pass
            case _:
                raise JobFailure(
                    "lti_deployment_disabled",
                    "This connection to Canvas is switched off. Ask your Canvas administrator.",
                    retryable=False,
                )
        if role_of(begun["roles"]) != "teacher":
            raise JobFailure("forbidden", "Only a teacher of this course may do this.", retryable=False)
        return begun

    def _read(self, services: PlatformServices, url: str, *, may_restart: bool) -> bool:
        """Reads to the end of the list. False when the page where we stopped is gone, and it must begin again."""
        for answer, following in services.pages(url, [SCOPE], accept=MEMBERSHIPS):
            if may_restart and answer.status in EXPIRED:
                return False
            may_restart = False
            self._context.check_cancelled()
            self._keep(members(json_of(answer)), following)
        return True

    def _keep(self, listed: list[dict[str, Any]], following: str | None) -> None:
        args = {**self._course, "p_holder": self._holder, "p_members": listed, "p_next_url": following}
        kept = rpc(self._service, "svc_apply_lti_roster", {**args, "p_seconds": LEASE_SECONDS})
        if kept["outcome"] == "lost":
            raise _busy(LEASE_SECONDS)
        if kept["outcome"] == "empty":
            raise bad_answer("the list names nobody")
        self._known += kept["known"]
        self._left, self._members = kept["left"], kept["members"]
        self._context.progress({"members": self._members})


def members(body: Any) -> list[dict[str, Any]]:
    """The people of a page, with their roles in the course.

    :raise JobFailure: ``lti_bad_answer``: it is no page of a roster, or somebody in it cannot be read
    """
    listed = body.get("members") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise bad_answer("no members")
    found = []
    for one in listed:
        sub = one.get("user_id") if isinstance(one, dict) else None
        if not isinstance(sub, str) or not 0 < len(sub) <= MAX_ID_CHARACTERS or clean(sub) != sub:
            # left out, this person would be marked as gone
            raise bad_answer("a member without an id")
        roles = one.get("roles")
        texts = [role for role in roles if isinstance(role, str)] if isinstance(roles, list) else []
        # what the database cannot store is no role that we know
        kept = [role for role in course_roles(texts) if clean(role) == role]
        found.append({"sub": sub, "roles": kept, "is_gone": one.get("status") not in (None, "Active")})
    return found


def _busy(seconds: int) -> JobFailure:
    return JobFailure(
        "lti_roster_busy",
        "The people of this course are being read at the moment. We look again by ourselves.",
        retry_after_s=seconds,
    )

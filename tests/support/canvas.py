"""A student with a Canvas, signed up and connected for real; and a way to run one job at a time."""

from __future__ import annotations

import secrets
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from functions.canvas_oauth import jobs as canvas_oauth_jobs
from functions.canvas_sync import jobs as canvas_sync_jobs
from functions.shared.clock import Clock
from functions.shared.crypto import Envelope
from functions.shared.database import Database, rpc, run
from functions.shared.http import Http
from functions.shared.jobs import HandlerRegistry, Job, JobContext, JobFailure
from functions.shared.settings import load_settings
from scripts.native.stack import Stack
from tests.standins.canvas import PLAIN, CanvasStandIn, approve
from tests.support.clocks import SkippingClock

PASSWORD = "correct horse battery staple"


@dataclass
class Student:
    """One person's session: ``functions`` and ``rest`` carry the access token."""

    user_id: str
    email: str
    token: str
    functions: httpx.Client
    rest: httpx.Client

    def rows(self, table: str, **filters: str) -> list[dict[str, Any]]:
        """Rows as this person sees them through REST; filters as PostgREST writes them (``id="eq.1"``)."""
        answer = self.rest.get(f"/{table}", params=filters)
        assert answer.status_code == 200, answer.text
        return list(answer.json())


def sign_in(stack: Stack, email: str) -> str:
    """A new access token, with the role that the person has now."""
    answer = httpx.post(
        f"{stack.url}/auth/v1/token?grant_type=password",
        json={"email": email, "password": PASSWORD},
        headers={"apikey": stack.keys.publishable_key},
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


@contextmanager
def student(stack: Stack) -> Iterator[Student]:
    """A new person who has just signed up."""
    headers = {"apikey": stack.keys.publishable_key}
    body = {"email": f"student-{uuid.uuid4().hex[:12]}@example.test", "password": PASSWORD}
    with httpx.Client(timeout=30, verify=PLAIN) as client:
        made = client.post(f"{stack.url}/auth/v1/signup", headers=headers, json=body)
        assert made.status_code == 200, made.text
    token = made.json()["access_token"]
    headers["Authorization"] = f"Bearer {token}"
    with (
        httpx.Client(base_url=stack.functions_url, headers=headers, timeout=60, verify=PLAIN) as functions,
        httpx.Client(base_url=f"{stack.url}/rest/v1", headers=headers, timeout=30, verify=PLAIN) as rest,
    ):
        yield Student(made.json()["user"]["id"], body["email"], token, functions, rest)


def registered(stack: Stack, canvas: CanvasStandIn) -> str:
    """Makes the stand-in known to the stack; the connection's id.

    A stand-in before it may have had the same port, and its people would still be connected to other accounts.
    """
    headers = {"Authorization": f"Bearer {stack.service_token}"}
    host = urlsplit(canvas.url).netloc
    httpx.delete(f"{stack.rest_url}/integrations", params={"instance_domain": f"eq.{host}"}, headers=headers)
    return canvas.register(stack.rest_url, stack.service_token, stack.functions_url)


def start(person: Student, connection_id: str, **body: str) -> str:
    """Begins to connect; Canvas's authorize address."""
    answer = person.functions.post("/canvas-oauth/start", json={"lms_connection_id": connection_id, **body})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["authorize_url"])


def come_back(stack: Stack, authorize_url: str, login: str = "student1") -> dict[str, str]:
    """Consent as that Canvas person, then our callback; what stands behind the ``#`` at the front end."""
    query = approve(authorize_url, login)
    answer = httpx.get(f"{stack.functions_url}/canvas-oauth/callback", params=query, timeout=30, verify=PLAIN)
    assert answer.status_code == 303, answer.text
    fragment = urlsplit(answer.headers["location"]).fragment
    return {name: values[0] for name, values in parse_qs(fragment).items()}


def connect(stack: Stack, person: Student, connection_id: str, login: str = "student1") -> dict[str, Any]:
    """Start, consent and completion; the answer of ``complete``."""
    fragment = come_back(stack, start(person, connection_id), login)
    answer = person.functions.post("/canvas-oauth/complete", json=fragment)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


# ---- running jobs -------------------------------------------------------------------------------------------------


@dataclass
class Ended:
    """The outcome of one run of the handler."""

    result: Mapping[str, Any] | None
    failure: JobFailure | None
    progress: list[Mapping[str, Any]]


class Runner:
    """Claims one given job and runs its handler in this process, with the settings that functions and worker have."""

    def __init__(self, environment: Mapping[str, str], *services: Any) -> None:
        """For the jobs of these modules; without any, those of Canvas."""
        self.settings = load_settings(environment)
        self.database = Database(self.settings)
        self.http = Http.of(self.settings)
        self._registry = HandlerRegistry()
        for service in services or (canvas_oauth_jobs, canvas_sync_jobs):
            service.register(self._registry)

    def close(self) -> None:
        """Ends the connections."""
        self.database.close()
        self.http.close()

    def claim(self, job_id: str, lease_s: int = 60) -> Job:
        """Claims the job; others of its type that came with it go back."""
        service = self.database.service()
        known = run(service.from_("jobs").select("type").eq("id", job_id).in_("type", list(self._registry.types)))
        types = [row["type"] for row in known]
        assert types, f"no handler here runs job {job_id}"
        # other tests leave many jobs of other types, which would come first
        args = {"p_worker": f"test-{secrets.token_hex(4)}", "p_types": types, "p_limit": 100}
        rows = rpc(service, "svc_claim_jobs", {**args, "p_lease_s": lease_s, "p_claim_id": str(uuid.uuid4())})
        others = [{k: row[k] for k in ("job_id", "lease_token")} for row in rows if row["job_id"] != job_id]
        if others:
            rpc(service, "svc_release_jobs", {"p_jobs": others})
        found = [row for row in rows if row["job_id"] == job_id]
        assert found, f"job {job_id} is not waiting"
        return Job.from_row(found[0])

    def handle(
        self,
        job: Job,
        *,
        clock: Clock | None = None,
        on_progress: Callable[[Mapping[str, Any]], None] = lambda _: None,
        on_check: Callable[[], None] = lambda: None,
    ) -> Mapping[str, Any] | None:
        """What the handler of a claimed job returns; sleeps are skipped unless a clock is given."""
        clock = clock or SkippingClock()
        return self._registry.get(job.type)(
            JobContext(
                job=job,
                settings=self.settings,
                database=self.database,
                http=self.http,
                crypto=Envelope(self.settings.encryption_keys),
                clock=clock,
                deadline=clock.monotonic() + job.timeout_s,
                on_progress=on_progress,
                on_check=on_check,
            )
        )

    def run(self, job_id: str, lease_s: int = 60) -> Ended:
        """Runs the job to its end and writes the end down as a worker does."""
        job = self.claim(job_id, lease_s)
        progress: list[Mapping[str, Any]] = []
        lease = {"job_id": job.job_id, "lease_token": job.lease_token}
        service = self.database.service()
        try:
            result = self.handle(job, on_progress=lambda seen: progress.append(dict(seen)))
        except JobFailure as failure:
            args = {"p_error_code": failure.code, "p_error_message": failure.message, "p_retryable": failure.retryable}
            names = {"p_job_id": job.job_id, "p_lease_token": job.lease_token}
            rpc(service, "svc_fail_job", {**names, **args})
            return Ended(None, failure, progress)
        if progress:
            rpc(service, "svc_heartbeat_jobs", {"p_jobs": [{**lease, "progress": progress[-1]}], "p_lease_s": lease_s})
        done = rpc(service, "svc_complete_jobs", {"p_jobs": [{**lease, "result": result}]})
        assert done[0]["done"], "the lease was lost"
        return Ended(result, None, progress)


def main(job_id: str, lease_s: str) -> None:
    """``python -m tests.support.canvas JOB LEASE``: one job in a process of its own, to be killed by a test."""
    import os

    Runner(os.environ).run(job_id, int(lease_s))


if __name__ == "__main__":
    main(*sys.argv[1:])

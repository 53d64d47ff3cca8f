"""A school with a course at a platform: a teacher and two students who have come in from it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
import pytest

from functions.lti import jobs as lti_jobs
from scripts.native.stack import Stack
from tests.standins.canvas import PLAIN, CanvasStandIn
from tests.standins.lti import Launch, LtiStandIn, Person, Platform
from tests.standins.lti.services import Services
from tests.support.canvas import Runner, registered
from tests.support.lti import Browser


@dataclass(frozen=True)
class SignedIn:
    """Somebody who came in from the course."""

    sub: str
    user_id: str
    launch_id: str
    functions: httpx.Client


@dataclass
class Course:
    """A course of its own for each test, at a platform of its own."""

    stack: Stack
    browser: Browser
    platform: Platform
    context_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    opened: list[httpx.Client] = field(default_factory=list)

    @property
    def services(self) -> Services:
        return self.platform.services

    def come_in(self, role: str, person: Person | None = None, **more: Any) -> SignedIn:
        """A launch and its session."""
        who = person or Person()
        launch = Launch(
            self.browser.target,
            who,
            roles=(role,),
            context_id=self.context_id,
            deployment_id=next(iter(self.platform.deployments)),
            **more,
        )
        session = self.browser.sign_in(self.platform, launch)
        headers = {
            "apikey": self.stack.keys.publishable_key,
            "Authorization": f"Bearer {session['access_token']}",
        }
        client = httpx.Client(base_url=self.stack.functions_url, headers=headers, timeout=60, verify=PLAIN)
        self.opened.append(client)
        if role == "Learner":
            self.services.students.add(str(who.sub))
        return SignedIn(str(who.sub), session["user"]["id"], session["launch"]["launch_id"], client)


@pytest.fixture(scope="session")
def lti(stack: Stack) -> Iterator[LtiStandIn]:
    with LtiStandIn() as platforms:
        yield platforms


@pytest.fixture(scope="session")
def school(stack: Stack) -> Iterator[str]:
    """The connection that deployments belong to."""
    with CanvasStandIn(seed=1) as canvas:
        yield registered(stack, canvas)


def new_platform(stack: Stack, lti: LtiStandIn, school: str, issuer: str, client_id: str) -> Platform:
    """A platform that the stack knows, whose services know our keys."""
    platform = lti.add(f"p{uuid.uuid4().hex[:8]}", issuer, client_id)
    platform.register(stack.rest_url, stack.service_token, school, f"{client_id}:deployment")
    platform.services.jwks_url = f"{stack.functions_url}/lti/jwks.json"
    return platform


@pytest.fixture
def course(stack: Stack, lti: LtiStandIn, school: str) -> Iterator[Course]:
    client_id = uuid.uuid4().hex
    platform = new_platform(stack, lti, school, f"https://{client_id}.test", client_id)
    made = Course(stack, Browser.of(stack), platform)
    yield made
    made.browser.close()
    for client in made.opened:
        client.close()


@pytest.fixture(scope="session")
def lti_runner(stack: Stack) -> Iterator[Runner]:
    """Runs one job of this service at a time."""
    given = Runner(stack.service_environment(), lti_jobs)
    yield given
    given.close()


@pytest.fixture
def db(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        yield connection

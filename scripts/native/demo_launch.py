"""The demo's teacher: they open the tool in a course of a small platform that stands for Canvas, and are signed in.

The browser's part (a form that submits itself, a redirect) is played over HTTP.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from scripts.native.stack import Stack
from tests.standins.lti import Launch, LtiStandIn
from tests.standins.lti.server import fields_of

Say = Callable[[str], None]


class LaunchFailed(RuntimeError):
    """The launch broke off; the message says where and shows the answer."""


@dataclass(frozen=True)
class Launched:
    """A session from a launch."""

    user_id: str
    email: str
    access_token: str
    refresh_token: str


def launch_teacher(stack: Stack, connection: str, say: Say) -> Launched:
    """Connects the platform as an administrator would, and walks a teacher from their course to a session.

    :raise LaunchFailed: a step was refused
    """
    with LtiStandIn() as lti, httpx.Client(timeout=30, trust_env=False) as browser:
        deployment = f"1:{secrets.token_hex(4)}"
        lti.first.register(stack.rest_url, stack.service_token, connection, deployment)
        say(f"a platform with LTI 1.3 at {lti.url} is registered, with its client and deployment")
        target = stack.service_environment()["FRONTEND_URL"]
        launch = Launch(target, deployment_id=deployment, context_id="biology-1")
        login = browser.post(f"{stack.functions_url}/lti/login", data=lti.first.begin(launch))
        _expect(login, 303)
        say("they open Headstart in their course; the login goes to the platform, bound to this browser by a cookie")
        page = browser.get(login.headers["location"])
        _expect(page, 200)
        # a cookie for https, which a browser also takes from a loopback address, and this client does not
        cookie = {"Cookie": login.headers["set-cookie"].partition(";")[0]}
        landed = browser.post(f"{stack.functions_url}/lti/launch", data=fields_of(page.text), headers=cookie)
        _expect(landed, 303)
        say(f"the signed token passes every check; the browser goes on to {target} with a ticket of 60 seconds")
        ticket = parse_qs(urlsplit(landed.headers["location"]).fragment)["lti_ticket"][0]
        answer = browser.post(f"{stack.functions_url}/lti/session", json={"ticket": ticket}, headers=cookie)
        _expect(answer, 200)
        session: dict[str, Any] = answer.json()
    course = session["launch"]["context"]["title"]
    say(f"the ticket becomes a session: {session['launch']['role']} in {course}, account {session['user']['id']}")
    return Launched(session["user"]["id"], session["user"]["email"], session["access_token"], session["refresh_token"])


def _expect(answer: httpx.Response, status: int) -> None:
    if answer.status_code != status:
        raise LaunchFailed(f"{answer.request.url.path} answered {answer.status_code}: {answer.text[:500]}")

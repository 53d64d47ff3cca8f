"""Plays the browser of a launch over HTTP: login at us, token from the platform, launch, session."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from scripts.native.stack import Stack
from tests.standins.canvas import PLAIN
from tests.standins.lti import Launch, Person, Platform

STORAGE = re.compile(r'<script type="application/json" id="lti-storage">(.*?)</script>', re.S)


@dataclass
class Begun:
    """A login under way in one browser."""

    answer: httpx.Response
    query: dict[str, str]
    cookies: dict[str, str]

    @property
    def state(self) -> str:
        return self.query["state"]

    @property
    def nonce(self) -> str:
        return self.query["nonce"]


@dataclass
class Browser:
    """Launches at a running stack. Each login has its own cookies; ``kept`` are those of a whole dance."""

    functions_url: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, verify=PLAIN, trust_env=False))

    @classmethod
    def of(cls, stack: Stack) -> Browser:
        """For a stack; opens the page that its configuration names."""
        return cls(stack.functions_url, stack.service_environment()["FRONTEND_URL"])

    def close(self) -> None:
        """Ends the connections."""
        self.client.close()

    def launch(self, person: Person | None = None, **more: Any) -> Launch:
        """What somebody opens: our page, as a teacher, unless it says otherwise."""
        return Launch(self.target, person or Person(), **more)

    def login(self, platform: Platform, launch: Launch, **more: str) -> Begun:
        """Steps 1 and 2: our answer, with the parameters for the platform's authorization endpoint."""
        form = platform.begin(launch, **more)
        answer = self.client.post(f"{self.functions_url}/lti/login", data=form, headers=self.headers)
        url = answer.headers.get("location") or storage(answer).get("next", "")
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        return Begun(answer, query, dict(answer.cookies))

    def post(
        self, begun: Begun, fields: Mapping[str, str], *, cookies: Mapping[str, str] | None = None, **headers: Any
    ) -> httpx.Response:
        """Step 3: the form that the platform makes the browser post."""
        shown = begun.cookies if cookies is None else cookies
        return self.client.post(
            f"{self.functions_url}/lti/launch",
            data=dict(fields),
            headers={
                **self.headers,
                "Cookie": "; ".join(f"{name}={value}" for name, value in shown.items()),
                **headers,
            },
        )

    def arrive(self, platform: Platform, launch: Launch, **more: str) -> tuple[Begun, str]:
        """A whole launch; the ticket at the front end."""
        begun = self.login(platform, launch, **more)
        answer = self.post(begun, {"id_token": platform.token(launch, begun.nonce), "state": begun.state})
        assert answer.status_code == 303, answer.text
        return begun, ticket_of(answer.headers["location"])

    def session(self, ticket: str, cookies: Mapping[str, str], **body: str) -> httpx.Response:
        """Step 5."""
        header = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        return self.client.post(
            f"{self.functions_url}/lti/session", json={"ticket": ticket, **body}, headers={**self.headers, **header}
        )

    def sign_in(self, platform: Platform, launch: Launch) -> dict[str, Any]:
        """The whole way; the session with its launch."""
        begun, ticket = self.arrive(platform, launch)
        answer = self.session(ticket, begun.cookies)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def ticket_of(location: str) -> str:
    """The ticket after the ``#``."""
    return parse_qs(urlsplit(location).fragment)["lti_ticket"][0]


def storage(answer: httpx.Response) -> dict[str, Any]:
    """What a page of platform storage was told; empty for another answer."""
    found = STORAGE.search(answer.text)
    return dict(json.loads(found[1])) if found else {}


def rest_of(stack: Stack, session: Mapping[str, Any]) -> httpx.Client:
    """REST as the person of a session."""
    headers = {"apikey": stack.keys.publishable_key, "Authorization": f"Bearer {session['access_token']}"}
    return httpx.Client(base_url=f"{stack.url}/rest/v1", headers=headers, timeout=30, verify=PLAIN, trust_env=False)


def new_request_id() -> str:
    """An id that finds one request in the log."""
    return uuid.uuid4().hex

"""What a platform offers behind an access token: the token endpoint, the gradebook, rosters.

It is as strict as Canvas: assertions are checked with the tool's published keys, media types and scopes must be right,
and a score that is older than the last one is refused.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import httpx
import jwt
from flask import Flask, Response, abort, jsonify, request

AGS = "https://purl.imsglobal.org/spec/lti-ags/scope/"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
LINE_ITEM = "application/vnd.ims.lis.v2.lineitem+json"
LINE_ITEMS = "application/vnd.ims.lis.v2.lineitemcontainer+json"
SCORE = "application/vnd.ims.lis.v1.score+json"
MEMBERSHIPS = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPES = frozenset({f"{AGS}lineitem", f"{AGS}score", f"{AGS}result.readonly", NRPS})


@dataclass
class Services:
    """The state of one platform's services.

    :param jwks_url: where the tool's public keys are
    :param faults: answers to the next calls after the token: a status, or a status with headers
    :param configuration: changes the OpenID configuration; ``registration_answer`` the answer to a registration
    :param after_write: true makes the next fault strike after the call was carried out, as a lost answer does
    """

    token_url: str
    client_id: str
    jwks_url: str = ""
    tokens: dict[str, frozenset[str]] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    jtis: set[str] = field(default_factory=set)
    expires_in: int = 3600
    allowed: frozenset[str] = SCOPES
    line_items: dict[str, dict[str, Any]] = field(default_factory=dict)
    students: set[str] = field(default_factory=set)
    results: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    scores: list[dict[str, Any]] = field(default_factory=list)
    members: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    page_size: int = 2
    next_url: str | None = None
    calls: list[str] = field(default_factory=list)
    faults: deque[tuple[int, Mapping[str, str]]] = field(default_factory=deque)
    after_write: bool = False
    registration_token: str = ""
    configuration: dict[str, Any] = field(default_factory=dict)
    registration_answer: dict[str, Any] = field(default_factory=dict)
    registered: dict[str, Any] = field(default_factory=dict)

    def fail(self, *statuses: int, **headers: str) -> None:
        """The next calls get these statuses."""
        self.faults.extend((status, headers) for status in statuses)

    def fault(self) -> None:
        """Ends the call with the next fault, if one is due."""
        if self.faults:
            status, headers = self.faults.popleft()
            abort(Response("fault", status, dict(headers)))

    def token(self, form: Mapping[str, str]) -> Response:
        """Client credentials by an assertion that the tool signed."""
        assertion = form.get("client_assertion", "")
        kid = jwt.get_unverified_header(assertion).get("kid")
        keys = jwt.PyJWKSet.from_dict(httpx.get(self.jwks_url, trust_env=False).json())
        claims = jwt.decode(assertion, keys[str(kid)], algorithms=["RS256"], audience=self.token_url)
        wanted = frozenset(form.get("scope", "").split())
        if (
            form.get("grant_type") != "client_credentials"
            or form.get("client_assertion_type") != ASSERTION_TYPE
            or (claims["iss"], claims["sub"]) != (self.client_id, self.client_id)
            or claims["jti"] in self.jtis
            or not 0 < claims["exp"] - claims["iat"] <= 300
            or not wanted <= self.allowed
        ):
            return Response('{"error":"invalid_client"}', 400, content_type="application/json")
        self.jtis.add(claims["jti"])
        value = secrets.token_urlsafe(16)
        self.tokens[value] = wanted
        return jsonify(access_token=value, token_type="Bearer", expires_in=self.expires_in, scope=" ".join(wanted))

    def admit(self, scope: str, *, content_type: str | None = None, accept: str | None = None) -> None:
        """Refuses a call without a token of this scope, or in another media type."""
        self.calls.append(f"{request.method} {request.path}")
        if not self.after_write:
            self.fault()
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.shown.add(token)
        if scope not in self.tokens.get(token, frozenset()):
            abort(401)
        if not request.headers.get("User-Agent"):
            abort(403)
        if content_type is not None and request.content_type != content_type:
            abort(415)
        if accept is not None and request.headers.get("Accept") != accept:
            abort(406)

    def done(self, answer: Response) -> Response:
        """The answer, unless it gets lost."""
        if self.after_write:
            self.fault()
        return answer

    def add_line_item(self, url: str, **fields: Any) -> str:
        """A line item that is there already; its address."""
        self.line_items[url] = {"id": url, **fields}
        return url

    def put_score(self, line_item: str, score: Mapping[str, Any]) -> int:
        """Takes a score as Canvas does; the status."""
        key = (line_item, str(score["userId"]))
        last = self.results.get(key)
        at = datetime.fromisoformat(str(score["timestamp"]))
        if score["userId"] not in self.students:
            return 422
        if "scoreGiven" in score and "scoreMaximum" not in score:
            return 422
        if last is not None and at < datetime.fromisoformat(str(last["timestamp"])):
            return 400
        self.results[key] = dict(score)
        self.scores.append(dict(score))
        return 200


class Offers(Protocol):
    """A platform, as these routes see it."""

    base_url: str
    issuer: str
    client_id: str

    @property
    def services(self) -> Services:
        """Its services."""


def add_services(app: Flask, platform_named: Callable[[str], Offers]) -> None:
    """Serves the services of platforms, each below its name."""

    @app.post("/<name>/token")
    def token(name: str) -> Response:
        """The token endpoint."""
        services = platform_named(name).services
        services.calls.append("POST token")
        return services.token(request.form)

    @app.get("/<name>/courses/<course>/line_items")
    def line_items(name: str, course: str) -> Response:
        """The line items of a course; this platform ignores the filters."""
        services = platform_named(name).services
        services.admit(f"{AGS}lineitem", accept=LINE_ITEMS)
        return Response(json.dumps(list(services.line_items.values())), content_type=LINE_ITEMS)

    @app.post("/<name>/courses/<course>/line_items")
    def make_line_item(name: str, course: str) -> Response:
        """A new line item. Its address has a query, which scores must keep."""
        platform = platform_named(name)
        services = platform.services
        services.admit(f"{AGS}lineitem", content_type=LINE_ITEM, accept=LINE_ITEM)
        number = len(services.line_items) + 1
        url = f"{platform.base_url}/courses/{course}/line_items/{number}?type=Made"
        services.add_line_item(url, **json.loads(request.data))
        return services.done(Response(json.dumps(services.line_items[url]), 201, content_type=LINE_ITEM))

    @app.post("/<name>/courses/<course>/line_items/<number>/scores")
    def score(name: str, course: str, number: str) -> Response:
        """Takes a score."""
        services = platform_named(name).services
        services.admit(f"{AGS}score", content_type=SCORE)
        url = request.url.replace("/scores", "", 1)
        if url not in services.line_items:
            abort(404)
        status = services.put_score(url, json.loads(request.data))
        text = "Provided timestamp is before the last updated timestamp" if status == 400 else ""
        return services.done(Response(text, status))

    @app.get("/<name>/courses/<course>/memberships")
    def memberships(name: str, course: str) -> Response:
        """A page of the roster. The address of the next one has capitals, which must stay."""
        platform = platform_named(name)
        services = platform.services
        services.admit(NRPS, accept=MEMBERSHIPS)
        begin = int(request.args.get("Page", "0"))
        members = services.members.get(course, [])
        page = members[begin : begin + services.page_size]
        answer = Response(
            json.dumps({"id": request.url, "context": {"id": course}, "members": page}), content_type=MEMBERSHIPS
        )
        if begin + services.page_size < len(members):
            following = f"{platform.base_url}/courses/{course}/memberships?Page={begin + services.page_size}"
            answer.headers.add("Link", f'<{services.next_url or following}>; rel="next"')
        return answer

    @app.get("/<name>/openid-configuration")
    def configuration(name: str) -> Response:
        """What a tool reads to register itself. Like Canvas it wants to see the registration token."""
        platform = platform_named(name)
        services, base = platform.services, platform.base_url
        services.fault()
        if request.headers.get("Authorization") != f"Bearer {services.registration_token}":
            abort(401)
        if "redirect" in services.configuration:
            return Response("", 302, {"Location": "http://127.0.0.1:1/"})
        return jsonify(
            {
                "issuer": platform.issuer,
                "authorization_endpoint": f"{base}/auth",
                "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/jwks",
                "registration_endpoint": f"{base}/registrations",
                "id_token_signing_alg_values_supported": ["RS256"],
                **services.configuration,
            }
        )

    @app.post("/<name>/registrations")
    def register(name: str) -> Response:
        """Registers a tool and deploys it."""
        platform = platform_named(name)
        services = platform.services
        if request.headers.get("Authorization") != f"Bearer {services.registration_token}":
            abort(401)
        services.registered = dict(request.get_json())
        tool = {"deployment_id": "1:dynamic"}
        answer = {"client_id": platform.client_id, "https://purl.imsglobal.org/spec/lti-tool-configuration": tool}
        return jsonify({**answer, **services.registration_answer})

"""Dynamic registration waits for approval, trusts no foreign address, and administrators decide."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from scripts.native.stack import Stack
from tests.functions.lti_services.conftest import Course
from tests.standins.canvas import PLAIN
from tests.standins.lti import LtiStandIn, Platform
from tests.support.canvas import Student, sign_in
from tests.support.lti import Browser

Connection = psycopg.Connection[Any]
SECRET = "registration-token-of-this-test"
TOOL = "https://purl.imsglobal.org/spec/lti-tool-configuration"


class Desk:
    """A platform that is not known yet, at a host that is a school's."""

    def __init__(self, stack: Stack, lti: LtiStandIn, db: Connection) -> None:
        self.stack, self.db = stack, db
        self.platform: Platform = lti.add(f"r{uuid.uuid4().hex[:8]}", client_id=uuid.uuid4().hex)
        self.platform.issuer = self.platform.base_url
        self.platform.services.registration_token = SECRET
        self.host = lti.url.removeprefix("http://")
        found = db.execute("select id::text from public.lms_connections where instance_domain = %s", (self.host,))
        row = (
            found.fetchone()
            or db.execute(
                "insert into public.lms_connections (instance_domain, name) values (%s, 'School') returning id::text",
                (self.host,),
            ).fetchone()
        )
        assert row is not None
        self.connection_id = str(row[0])

    def register(self, url: str | None = None, token: str | None = SECRET, **headers: str) -> httpx.Response:
        query = {"openid_configuration": url or f"{self.platform.base_url}/openid-configuration"}
        if token is not None:
            query["registration_token"] = token
        answer = httpx.get(
            f"{self.stack.functions_url}/lti/register", params=query, headers=headers, timeout=30, trust_env=False
        )
        # each address may ask ten times a minute
        self.db.execute("delete from private.rate_buckets")
        return answer

    def rows(self) -> list[tuple[Any, ...]]:
        return self.db.execute(
            "select r.id::text, r.status, p.status, d.status, p.jwks_url, d.lms_connection_id::text"
            " from private.lti_registrations as r join private.lti_platforms as p on p.id = r.platform_id"
            " left join private.lti_deployments as d on d.registration_id = r.id where r.client_id = %s",
            (self.platform.client_id,),
        ).fetchall()


@pytest.fixture
def desk(stack: Stack, lti: LtiStandIn, db: Connection) -> Desk:
    return Desk(stack, lti, db)


@pytest.fixture
def administrator(stack: Stack, person: Student, db: Connection) -> Iterator[httpx.Client]:
    db.execute("update public.profiles set role = 'admin' where user_id = %s", (person.user_id,))
    headers = {
        "apikey": stack.keys.publishable_key,
        "Authorization": f"Bearer {sign_in(stack, person.email)}",
    }
    with httpx.Client(base_url=stack.functions_url, headers=headers, timeout=30, verify=PLAIN) as client:
        yield client


def test_a_registration_waits_until_an_administrator_approves(
    desk: Desk, administrator: httpx.Client, person: Student, stack: Stack
) -> None:
    page = desk.register()
    assert page.status_code == 200, page.text
    assert "waits for our approval" in page.text
    assert "org.imsglobal.lti.close" in page.text
    policy = page.headers["content-security-policy"]
    assert f"http://{desk.host}" in policy.split("frame-ancestors ")[1]
    assert "unsafe" not in policy
    ((registration, *rest),) = desk.rows()
    assert rest == ["pending", "pending", "pending", f"{desk.platform.base_url}/jwks", desk.connection_id]
    asked = desk.platform.services.registered
    assert asked["token_endpoint_auth_method"] == "private_key_jwt"
    assert asked["redirect_uris"] == [f"{stack.functions_url}/lti/launch"]
    assert asked["jwks_uri"] == f"{stack.functions_url}/lti/jwks.json"
    assert {m["type"] for m in asked[TOOL]["messages"]} == {"LtiResourceLinkRequest", "LtiDeepLinkingRequest"}
    # nobody comes in before
    browser = Browser.of(stack)
    desk.platform.deployments = {"1:dynamic": ""}
    course = Course(stack, browser, desk.platform)
    begun = browser.login(desk.platform, browser.launch(deployment_id="1:dynamic"))
    assert begun.answer.status_code == 403
    # registering again changes nothing
    assert desk.register().status_code == 200
    assert [row[0] for row in desk.rows()] == [registration]
    found = {row["id"]: row for row in administrator.get("/lti/registrations").json()["registrations"]}[registration]
    assert (found["status"], found["last_used_at"]) == ("pending", None)
    assert found["platform"]["jwks_url"] == f"{desk.platform.base_url}/jwks"
    assert administrator.post(f"/lti/registrations/{registration}/approve", json={}).status_code == 204
    assert desk.rows()[0][1:4] == ("active", "active", "active")
    course.come_in("Instructor")
    found = {row["id"]: row for row in administrator.get("/lti/registrations").json()["registrations"]}[registration]
    assert found["last_used_at"] is not None
    assert found["deployments"][0]["last_used_at"] == found["last_used_at"]
    # a deployment that the platform did not tell us about
    more = {"lms_connection_id": desk.connection_id, "deployment_id": "2:further"}
    assert administrator.post(f"/lti/registrations/{registration}/approve", json=more).status_code == 204
    assert administrator.post(f"/lti/registrations/{registration}/disable").status_code == 204
    begun = browser.login(desk.platform, browser.launch(deployment_id="1:dynamic"))
    answer = browser.post(
        begun, {"id_token": desk.platform.token(browser.launch(deployment_id="1:dynamic"), begun.nonce or "x"),
                "state": begun.state}, Accept="application/json",
    )  # fmt: skip
    assert answer.json()["code"] == "lti_deployment_disabled"
    audited = desk.db.execute(
        "select detail ->> 'status', detail ->> 'decided_by' from private.audit_log"
        " where entity = 'lti_registrations' and entity_id = %s and action = 'set_status' order by id",
        (registration,),
    ).fetchall()
    assert audited == [("active", person.user_id), ("active", person.user_id), ("disabled", person.user_id)]
    browser.close()
    for client in course.opened:
        client.close()
    assert [log.name for log in stack.log_dir.glob("*.log") if SECRET in log.read_text()] == []


def test_what_could_lead_elsewhere_is_refused(desk: Desk) -> None:
    services, base = desk.platform.services, desk.platform.base_url

    def refused(url: str | None = None, status: int = 400, **more: Any) -> None:
        answer = desk.register(url, Accept="application/json", **more)
        codes = {400: "lti_registration_refused", 503: "service_unavailable"}
        assert (answer.status_code, answer.json()["code"]) == (status, codes[status])
        assert desk.rows() == []

    for url in ("https://evil.example/.well-known/openid-configuration", "http://127.0.0.1:1/x", "file:///x",
                "https://instructure.com.evil.example/x", "https://user@school.instructure.com/x"):  # fmt: skip
        refused(url)
    refused(token="another")
    for name in ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint"):
        for value in (None, 7, "https://evil.example/x", "http://127.0.0.1:1/x", "https://canvas.instructure.com"):
            services.configuration = {name: value}
            refused()
    services.configuration = {"issuer": f"{base}?x=1"}
    refused()
    services.configuration = {"id_token_signing_alg_values_supported": ["HS256"]}
    refused()
    services.configuration = {"padding": "x" * 70_000}
    refused()
    services.configuration = {"redirect": True}
    refused()
    services.configuration = {}
    bad: list[Any] = [None, "", "x" * 256, {}]
    for client_id in bad:
        services.registration_answer = {"client_id": client_id}
        refused()
    services.registration_answer = {}
    services.fail(503)
    refused(status=503)


def test_only_administrators_decide(desk: Desk, person: Student, administrator: httpx.Client, db: Connection) -> None:
    desk.register()
    registration = desk.rows()[0][0]
    paths = [("GET", "/lti/registrations"), *(("POST", f"/lti/registrations/{registration}/{do}") for do in
             ("approve", "disable"))]  # fmt: skip
    for method, path in paths:
        assert person.functions.request(method, path, json={} if method == "POST" else None).status_code == 403
    unknown = uuid.uuid4()
    assert administrator.post(f"/lti/registrations/{unknown}/approve", json={}).json()["code"] == "not_found"
    assert administrator.post(f"/lti/registrations/{unknown}/disable").json()["code"] == "not_found"
    half = {"deployment_id": "1:x"}
    assert administrator.post(f"/lti/registrations/{registration}/approve", json=half).status_code == 422
    db.execute(
        "update private.lti_platforms set status = 'disabled' where jwks_url = %s",
        (f"{desk.platform.base_url}/jwks",),
    )
    answer = administrator.post(f"/lti/registrations/{registration}/approve", json={})
    assert (answer.status_code, desk.rows()[0][1]) == (409, "pending")
    # the role of now decides, whatever the token says
    db.execute("update public.profiles set role = 'student' where user_id = %s", (person.user_id,))
    assert administrator.get("/lti/registrations").status_code == 403

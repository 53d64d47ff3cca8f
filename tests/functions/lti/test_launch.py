"""Hostile and broken launches: each is refused by its own check, with one stable answer, and changes nothing."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import jwt
import psycopg
import pytest

from functions.lti.roles import role_of
from scripts.native.stack import Stack
from tests.standins.lti import CLAIM, LtiStandIn, Person
from tests.standins.lti.platform import encoded, key_named, public_jwk, signed
from tests.support.lti import Begun, Browser, new_request_id, storage

Fields = dict[str, str]
CHANGED = """
select (select count(*) from auth.users), (select count(*) from auth.sessions),
       (select count(*) from private.lti_identities), (select count(*) from private.lti_memberships),
       (select count(*) from private.lti_launches), (select count(*) from private.lti_tickets),
       (select count(*) from public.teachers)
"""
SECRET = "launch-of-this-test"


class Dance:
    """One launch under way, to be spoiled."""

    def __init__(self, browser: Browser, lti: LtiStandIn, **more: Any) -> None:
        self.browser, self.lti, self.platform = browser, lti, lti.first
        self.launch = browser.launch(Person(name=SECRET), **more)
        self.begun = browser.login(self.platform, self.launch)

    def token(self, **more: Any) -> Fields:
        """The form with a token that differs from a good one by what is given."""
        return self.form(self.platform.token(self.launch, self.begun.nonce, **more))

    def form(self, token: str) -> Fields:
        return {"id_token": token, "state": self.begun.state}

    def error(self, code: str) -> Fields:
        """What the platform posts instead of a token."""
        return {"error": code, "state": self.begun.state}

    def changed(self, **claims: Any) -> Fields:
        """The form with a token that has these claims; those of LTI by their short name."""
        names = {"deployment_id", "version", "message_type", "target_link_uri", "roles", "resource_link", "custom"}
        return self.token(change={(CLAIM + name if name in names else name): value for name, value in claims.items()})

    def header(self, **fields: Any) -> Fields:
        return self.token(header=fields)


def unsigned(dance: Dance) -> Fields:
    _, body, _ = dance.token()["id_token"].split(".")
    return dance.form(
        f"{encoded(json.dumps({'alg': 'none', 'kid': dance.platform.kids[0]}).encode()).decode()}.{body}."
    )


def by_public_key(dance: Dance) -> Fields:
    """HS256 with our knowledge of the public key as the secret."""
    head = encoded(json.dumps({"alg": "HS256", "kid": dance.platform.kids[0]}).encode())
    body = dance.token()["id_token"].split(".")[1].encode()
    secret = json.dumps(public_jwk(key_named(dance.platform.kids[0]), "x")).encode()
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(head + b"." + body, secret)
    return dance.form((head + b"." + body + b"." + encoded(mac)).decode())


def tampered(dance: Dance) -> Fields:
    head, body, mark = dance.token()["id_token"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    claims[f"{CLAIM}roles"] = ["Instructor"]
    return dance.form(f"{head}.{encoded(json.dumps(claims).encode()).decode()}.{mark}")


def list_as_payload(dance: Dance) -> Fields:
    kid = dance.platform.kids[0]
    return dance.form(signed([1], {"alg": "RS256", "kid": kid}, key_named(kid)))


def embedded_key(dance: Dance) -> Fields:
    key = key_named("forged")
    return dance.token(
        header={"kid": "forged", "jwk": public_jwk(key, "forged"), "jku": "https://evil.example/"}, key=key
    )


def other_login(dance: Dance) -> Begun:
    return dance.browser.login(dance.platform, dance.launch)


def now(seconds: float) -> int:
    return int(time.time() + seconds)


# name -> what is posted, status, code, and the check that the log names
HOSTILE: Mapping[str, tuple[Callable[[Dance], Fields], int, str, str | None]] = {
    "platform_error": (lambda d: d.error("launch_no_longer_valid"), 400, "refused", "platform_error"),
    "login_required": (lambda d: d.error("login_required"), 400, "!lti_not_signed_in", "login_required"),
    "no_state": (lambda d: {"id_token": d.token()["id_token"]}, 401, "reused", "state"),
    "unknown_state": (lambda d: {**d.token(), "state": "A" * 43}, 401, "reused", "state"),
    "no_token": (lambda d: {"state": d.begun.state}, 400, "refused", "format"),
    "not_a_token": (lambda d: d.form("eyJ.x"), 400, "refused", "format"),
    "header_no_object": (lambda d: d.form("W10.e30.AAAA"), 400, "refused", "format"),
    "too_large": (lambda d: d.changed(filler="x" * 40_000), 400, "refused", "format"),
    "unsigned": (unsigned, 401, "refused", "algorithm"),
    "signed_by_public_key": (by_public_key, 401, "refused", "algorithm"),
    "rs512": (lambda d: d.header(alg="RS512"), 401, "refused", "algorithm"),
    "critical_header": (lambda d: d.header(crit=["x"], x=1), 401, "refused", "algorithm"),
    "no_kid": (lambda d: d.header(kid=None), 401, "refused", "unknown_key"),
    "unknown_kid": (lambda d: d.header(kid="nobody"), 401, "refused", "unknown_key"),
    "embedded_key": (embedded_key, 401, "refused", "unknown_key"),
    "key_of_the_other_platform": (
        lambda d: d.token(header={"kid": d.lti.second.kids[0]}, key=key_named(d.lti.second.kids[0])),
        401, "refused", "unknown_key",
    ),
    "forged_key": (lambda d: d.token(key=key_named("forged")), 401, "refused", "signature"),
    "tampered": (tampered, 401, "refused", "signature"),
    "payload_no_object": (list_as_payload, 401, "refused", "signature"),
    "foreign_issuer": (lambda d: d.changed(iss="https://canvas.beta.instructure.com"), 401, "refused", "issuer"),
    "issuer_with_slash": (lambda d: d.changed(iss=f"{d.platform.issuer}/"), 401, "refused", "issuer"),
    "foreign_audience": (lambda d: d.changed(aud="10000000000002"), 401, "refused", "audience"),
    "two_audiences": (lambda d: d.changed(aud=[d.platform.client_id, "other"]), 401, "refused", "audience"),
    "no_audience": (lambda d: d.changed(aud=[]), 401, "refused", "audience"),
    "twice_ours_without_azp": (
        lambda d: d.token(change={"aud": [d.platform.client_id] * 2}, remove=["azp"]),
        401, "refused", "authorized_party",
    ),
    "foreign_azp": (lambda d: d.changed(azp="10000000000002"), 401, "refused", "authorized_party"),
    "no_exp": (lambda d: d.token(remove=["exp"]), 401, "refused", "times"),
    "no_iat": (lambda d: d.token(remove=["iat"]), 401, "refused", "times"),
    "exp_as_text": (lambda d: d.changed(exp=str(now(3600))), 401, "refused", "times"),
    "iat_as_boolean": (lambda d: d.changed(iat=True), 401, "refused", "times"),
    "exp_beyond_numbers": (lambda d: d.changed(exp=10**400), 401, "refused", "times"),
    "expired": (lambda d: d.changed(exp=now(-61)), 401, "refused", "times"),
    "from_the_future": (lambda d: d.changed(iat=now(65)), 401, "refused", "times"),
    "a_year_old": (lambda d: d.changed(iat=now(-365 * 86400)), 401, "refused", "times"),
    "eleven_minutes_old": (lambda d: d.changed(iat=now(-660)), 401, "refused", "times"),
    "no_nonce": (lambda d: d.token(remove=["nonce"]), 401, "reused", "nonce"),
    "foreign_nonce": (lambda d: d.changed(nonce=other_login(d).nonce), 401, "reused", "nonce"),
    "nonce_no_text": (lambda d: d.changed(nonce=["\ud800"]), 401, "reused", "nonce"),
    "foreign_state": (lambda d: {**d.token(), "state": other_login(d).state}, 401, "reused", "nonce"),
    "lti_1_1": (lambda d: d.changed(version="1.1"), 400, "refused", "message"),
    "other_message": (lambda d: d.changed(message_type="LtiSubmissionReviewRequest"), 400, "refused", "message"),
    "no_deployment": (lambda d: d.token(remove=[f"{CLAIM}deployment_id"]), 403, "refused", "deployment"),
    "other_deployment_than_at_login": (lambda d: d.changed(deployment_id="1:other"), 403, "refused", "deployment"),
    "no_subject": (lambda d: d.token(remove=["sub"]), 403, "!lti_not_signed_in", "subject"),
    "subject_too_long": (lambda d: d.changed(sub="s" * 256), 403, "!lti_not_signed_in", "subject"),
    "subject_with_nul": (lambda d: d.changed(sub="s\0"), 403, "!lti_not_signed_in", "subject"),
    "no_target": (lambda d: d.token(remove=[f"{CLAIM}target_link_uri"]), 400, "refused", "target"),
    "other_target": (lambda d: d.changed(target_link_uri="https://evil.example/"), 400, "refused", "target"),
    "other_page_of_ours": (lambda d: d.changed(target_link_uri=f"{d.browser.target}/other"), 400, "refused", "target"),
    "no_roles": (lambda d: d.token(remove=[f"{CLAIM}roles"]), 400, "refused", "roles"),
    "roles_no_texts": (lambda d: d.changed(roles=[{}]), 400, "refused", "roles"),
    "no_resource_link": (lambda d: d.token(remove=[f"{CLAIM}resource_link"]), 400, "refused", "resource_link"),
    "resource_link_without_id": (lambda d: d.changed(resource_link={}), 400, "refused", "resource_link"),
    "deep_link_without_settings": (
        lambda d: d.changed(message_type="LtiDeepLinkingRequest"), 400, "refused", "deep_linking_settings",
    ),
    "masquerade": (lambda d: d.changed(custom={"masquerading_user_id": "99"}), 403, "refused", "masquerade"),
}  # fmt: skip


@pytest.fixture
def unchanged(stack: Stack) -> Iterator[None]:
    """After the test there is no further user, session, identity, membership, launch, ticket or teacher."""
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        before = db.execute(CHANGED).fetchone()
        yield
        assert db.execute(CHANGED).fetchone() == before


def reason(stack: Stack, request_id: str) -> str | None:
    """The check that the log names for a request."""
    lines = (stack.log_dir / "functions.log").read_text().splitlines()
    found = [json.loads(line) for line in lines if request_id in line and '"lti_refused"' in line]
    return found[-1]["reason"] if found else None


def refused(stack: Stack, answer: httpx.Response, request_id: str, status: int, code: str, check: str | None) -> None:
    """Asserts that a launch was refused with one answer, by one check."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert reason(stack, request_id) == check
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_launch_is_refused(stack: Stack, lti: LtiStandIn, browser: Browser, name: str) -> None:
    make, status, code, check = HOSTILE[name]
    dance = Dance(browser, lti)
    fields, request_id = make(dance), new_request_id()
    headers: dict[str, Any] = {"X-Request-Id": request_id, "Accept": "application/json"}
    answer = browser.post(dance.begun, fields, **headers)
    refused(
        stack, answer, request_id, status, code.removeprefix("!") if code[0] == "!" else f"lti_launch_{code}", check
    )
    # whatever was wrong, the login is used up: the good token comes too late
    if "state" in fields and fields["state"] == dance.begun.state:
        assert browser.post(dance.begun, dance.token()).status_code == 401


def test_a_replay_is_refused_and_looks_like_a_foreign_state(stack: Stack, lti: LtiStandIn, browser: Browser) -> None:
    dance = Dance(browser, lti)
    good = dance.token()
    assert browser.post(dance.begun, good).status_code == 303
    pages = []
    fresh = Dance(browser, lti)
    for begun, fields in (
        (dance.begun, good),  # the browser loads the page anew
        (fresh.begun, {**fresh.token(), "state": "unknown"}),
        (fresh.begun, fresh.changed(nonce="of another login")),
        (fresh.begun, {**good, "state": Dance(browser, lti).begun.state}),  # a used nonce with a new state
    ):
        same: dict[str, Any] = {"X-Request-Id": "the-same-request"}
        answer = browser.post(begun, fields, **same)
        assert answer.status_code == 401
        pages.append(answer.text)
    assert len(set(pages)) == 1
    assert "Open it again from Canvas" in pages[0]
    assert "the-same-request" in pages[0]


@pytest.mark.usefixtures("unchanged")
def test_a_login_waits_ten_minutes(stack: Stack, lti: LtiStandIn, browser: Browser) -> None:
    dance = Dance(browser, lti)
    with psycopg.connect(stack.db_url) as db:
        db.execute("update private.lti_states set expires_at = now() where used_at is null")
    answer = browser.post(dance.begun, dance.token(), Accept="application/json")
    assert (answer.status_code, answer.json()["code"]) == (401, "lti_launch_reused")


@pytest.mark.usefixtures("unchanged")
def test_another_browser_is_refused(stack: Stack, lti: LtiStandIn, browser: Browser) -> None:
    for cookies in ({}, dict(Dance(browser, lti).begun.cookies)):  # none, and those of another login
        dance, request_id = Dance(browser, lti), new_request_id()
        headers: dict[str, Any] = {"X-Request-Id": request_id, "Accept": "application/json"}
        answer = browser.post(dance.begun, dance.token(), cookies=cookies, **headers)
        refused(stack, answer, request_id, 401, "lti_launch_refused", "binding")
    page = browser.post(dance.begun, Dance(browser, lti).token(), cookies={})
    assert page.status_code == 401
    dance = Dance(browser, lti)
    page = browser.post(dance.begun, dance.token(), cookies={})
    assert f'data-url="{browser.target}"' in page.text
    assert "Open in a new window" in page.text


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("kind", ["deployment", "registration", "platform"])
def test_what_is_switched_off_or_waits_is_refused(stack: Stack, lti: LtiStandIn, browser: Browser, kind: str) -> None:
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        rows = {"deployment": lti.second.deployments["2:deployment"], "registration": lti.second.registration_id}
        found = db.execute("select platform_id from private.lti_registrations where id = %s", (rows["registration"],))
        rows["platform"] = str(found.fetchall()[0][0])
        launch = browser.launch(deployment_id="2:deployment")
        for status, code in (("disabled", "lti_deployment_disabled"), ("pending", "lti_registration_pending")):
            begun = browser.login(lti.second, launch)
            db.execute("select public.svc_set_lti_status(%s, %s, %s)", (kind, rows[kind], status))
            try:
                fields = {"id_token": lti.second.token(launch, begun.nonce), "state": begun.state}
                answer = browser.post(begun, fields, Accept="application/json")
                assert (answer.status_code, answer.json()["code"]) == (403, code)
                # a browser is not sent to the addresses of a platform that nobody approved
                assert (browser.login(lti.second, launch).answer.status_code == 403) is (kind == "platform")
            finally:
                db.execute("select public.svc_set_lti_status(%s, %s, 'active')", (kind, rows[kind]))


@pytest.mark.usefixtures("unchanged")
def test_a_login_that_says_too_little_or_nonsense_is_refused(lti: LtiStandIn, browser: Browser) -> None:
    good = lti.first.begin(browser.launch())
    for change in (
        *({name: ""} for name in ("iss", "client_id", "login_hint", "target_link_uri")),
        {"iss": "https://canvas.example"},
        {"client_id": "10000000000002"},
        {"target_link_uri": "https://evil.example/"},
        {"target_link_uri": f"{browser.target}.evil.example/"},
        {"deployment_id": "9:unknown"},  # two platforms have this issuer and client
        {"deployment_id": ""},
        {"lti_deployment_id": "1:other"},
        {"login_hint": "x" * 2001},
        {"login_hint": "x\0"},
    ):
        answer = browser.client.post(
            f"{browser.functions_url}/lti/login", data={**good, **change}, headers={"Accept": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "lti_login_invalid"), change
        assert "set-cookie" not in answer.headers
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_the_login_asks_the_platform_of_this_deployment(lti: LtiStandIn, browser: Browser) -> None:
    launch = replace(browser.launch(), deployment_id="2:deployment")
    form = lti.second.begin(launch)
    form["lti_deployment_id"] = form.pop("deployment_id")
    by_get = browser.client.get(f"{browser.functions_url}/lti/login", params=form)
    assert by_get.status_code == 303
    assert by_get.headers["location"].startswith(f"{lti.second.base_url}/auth?")
    begun = browser.login(lti.second, launch)
    wanted = {"scope", "response_type", "response_mode", "prompt", "client_id", "redirect_uri", "login_hint"}
    assert begun.query.keys() == wanted | {"lti_message_hint", "state", "nonce"}
    assert begun.query["redirect_uri"] == f"{browser.functions_url}/lti/launch"
    cookie = begun.answer.headers["set-cookie"]
    assert cookie.startswith("__Host-lti-")
    assert {"Secure", "HttpOnly", "SameSite=None", "Path=/", "Partitioned"} < {
        part.strip() for part in cookie.split(";")
    }
    # the platform itself finds nothing missing
    page = browser.client.get(by_get.headers["location"])
    assert 'name="id_token"' in page.text


def test_the_page_of_platform_storage_tells_the_frame_and_nobody_else(lti: LtiStandIn, browser: Browser) -> None:
    launch = browser.launch(Person(name="</script><script>alert(1)</script>"))
    begun = browser.login(lti.first, launch, lti_storage_target="</script>post_message_forwarding")
    box = storage(begun.answer)
    assert begun.answer.status_code == 200
    assert (box["op"], box["origin"], box["value"]) == ("put", lti.url, next(iter(begun.cookies.values())))
    assert box["target"] == "</script>post_message_forwarding"
    policy = begun.answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    ancestors = policy.split("frame-ancestors ")[1].split()
    assert {"'self'", lti.url, "https://canvas.instructure.com"} <= set(ancestors)
    assert "*" not in policy
    fields = {"id_token": lti.first.token(launch, begun.nonce), "state": begun.state}
    answer = browser.post(begun, fields, cookies={})
    read = storage(answer)
    assert (answer.status_code, read["op"], read["key"]) == (200, "get", box["key"])
    assert box["value"] not in answer.text
    assert read["next"].startswith(f"{browser.target}#lti_ticket=")
    # with the cookie there is nothing to ask the platform
    begun = browser.login(lti.first, launch, lti_storage_target="_parent")
    fields = {"id_token": lti.first.token(launch, begun.nonce), "state": begun.state}
    assert browser.post(begun, fields).status_code == 303


def test_keys_of_a_platform_are_read_anew_for_an_unknown_key_and_serve_while_it_is_down(
    lti: LtiStandIn, browser: Browser
) -> None:
    from functions.lti.platform_keys import COOL_DOWN_SECONDS, FRESH_SECONDS, RETRY_SECONDS, PlatformKeys
    from functions.shared.errors import Unavailable
    from functions.shared.http import Http
    from tests.support.clocks import HeldClock

    platform, clock, http = lti.add("rotating"), HeldClock(), Http(local=True)
    keys, url = PlatformKeys(http, clock), f"{platform.base_url}/jwks"
    platform.jwks_down = True
    with pytest.raises(Unavailable):
        keys.get(url, "rotating-1")
    platform.jwks_down = False
    with pytest.raises(Unavailable):
        keys.get(url, "rotating-1")  # not asked again at once
    clock.seconds += RETRY_SECONDS
    assert keys.get(url, "rotating-1") is not None
    asked = platform.jwks_reads
    platform.rotate()
    assert keys.get(url, "rotating-2") is not None
    assert keys.get(url, "forged") is None
    assert keys.get(url, "forged again") is None
    assert platform.jwks_reads == asked + 1
    clock.seconds += COOL_DOWN_SECONDS
    assert keys.get(url, "forged") is None
    assert platform.jwks_reads == asked + 2
    clock.seconds += FRESH_SECONDS
    platform.jwks_down = True
    assert keys.get(url, "rotating-2") is not None
    assert keys.get(url, "unknown") is None
    http.close()


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        ([], "none"),
        (["http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"], "teacher"),
        (["http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"], "teacher"),
        (["http://purl.imsglobal.org/vocab/lis/v2/membership#Administrator"], "teacher"),
        (["Instructor"], "teacher"),
        (["Administrator"], "none"),
        (["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Faculty", "Learner"], "student"),
        (["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor"], "none"),
        (["http://purl.imsglobal.org/vocab/lis/v2/system/person#SysAdmin"], "none"),
        (["http://purl.imsglobal.org/vocab/lis/v2/membership#Mentor"], "none"),
        (["http://evil.example/membership#Instructor", "instructor", "Instructor "], "none"),
    ],
)  # fmt: skip
def test_only_roles_in_the_course_count(roles: list[str], role: str) -> None:
    assert role_of(roles) == role


def test_no_token_is_in_a_log(stack: Stack, lti: LtiStandIn, browser: Browser) -> None:
    dance = Dance(browser, lti)
    fields = dance.token()
    answer = browser.post(dance.begun, fields)
    ticket = answer.headers["location"].split("lti_ticket=")[1]
    assert browser.session(ticket, dance.begun.cookies).status_code == 200
    assert "?" not in answer.headers["location"]
    secrets = [fields["id_token"], fields["id_token"].split(".")[1], dance.begun.state, dance.begun.nonce, ticket]
    secrets += [*dance.begun.cookies.values(), SECRET]
    for log in stack.log_dir.glob("*.log"):
        text = log.read_text()
        assert [secret[:12] for secret in secrets if secret in text] == [], log.name

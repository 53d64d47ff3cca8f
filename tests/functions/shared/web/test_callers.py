"""Tokens: only what Auth signed, for us, not expired, for a person; whatever else is a 401 and never a 500."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import psycopg
import pytest
from apiflask import APIBlueprint, APIFlask
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Response, jsonify
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from jwt.warnings import InsecureKeyLengthWarning

from functions.shared.errors import Unauthorized, Unavailable
from functions.shared.settings import Settings, load_settings
from functions.shared.tokens import TokenVerifier, problem_at_start
from functions.shared.web.application import create_service
from functions.shared.web.callers import current_caller
from functions.shared.web.operations import Access, operation
from scripts.native.keys import Keys
from scripts.native.stack import Stack
from tests.functions.shared.conftest import Handler, Loopback, hang_up, reply
from tests.support.canvas import sign_in, student
from tests.support.clocks import HeldClock

Claims = dict[str, Any]


def service(settings: Settings) -> APIFlask:
    """A service with a path for persons and one for administration."""
    blueprint = APIBlueprint("who", __name__)

    @blueprint.get("/me")
    def me() -> Response:
        caller = current_caller()
        return jsonify(user_id=caller.user_id, role=caller.role, user_role=caller.user_role)

    @blueprint.get("/admin")
    @operation("For administration", access=Access.ADMINISTRATION)
    def admin() -> Response:
        return jsonify(ok=True)

    return create_service("who", blueprint, settings)


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    """Calls it, with nothing but the signing keys behind it."""
    return service(settings).test_client()


def ask(client: FlaskClient, path: str, token: str | None, **headers: str) -> Any:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return client.get(f"/functions/v1/who/{path}", headers=headers)


def test_a_good_token_names_its_person(client: FlaskClient, keys: Keys, claims: Claims) -> None:
    answer = ask(client, "me", keys.sign(claims))
    assert answer.status_code == 200
    assert answer.json == {"user_id": claims["sub"], "role": "authenticated", "user_role": "student"}


def test_the_audience_may_be_a_list(client: FlaskClient, keys: Keys, claims: Claims) -> None:
    assert ask(client, "me", keys.sign(claims | {"aud": ["authenticated"]})).status_code == 200


@pytest.mark.parametrize(("seconds", "status"), [(25, 200), (35, 401)])
def test_thirty_seconds_of_skew_are_forgiven(
    client: FlaskClient, keys: Keys, claims: Claims, seconds: int, status: int
) -> None:
    now = int(time.time())
    assert ask(client, "me", keys.sign(claims | {"exp": now - seconds})).status_code == status
    assert ask(client, "me", keys.sign(claims | {"iat": now + seconds})).status_code == status


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://elsewhere.supabase.co/auth/v1"},
        {"iss": None},
        {"aud": "anon"},
        {"aud": ["somebody"]},
        {"aud": None},
        {"exp": 1},
        {"exp": "soon"},
        {"exp": None},
        {"iat": 32503680000},
        {"iat": None},
        {"sub": "me"},
        {"sub": ""},
        {"sub": 7},
        {"sub": None},
        {"sub": "{" + str(uuid.UUID(int=5))[1:-1] + "}"},
        {"role": "anon"},
        {"role": "service_role"},
        {"role": ["authenticated"]},
        {"role": None},
    ],
)
def test_every_claim_that_is_off_is_a_401(client: FlaskClient, keys: Keys, claims: Claims, change: Claims) -> None:
    changed = {name: value for name, value in (claims | change).items() if value is not None}
    try:
        token = keys.sign(changed)
    except TypeError:
        # PyJWT refuses to write some of these itself; sign them by hand
        token = raw_token(keys, changed)
    answer = ask(client, "me", token)
    assert answer.status_code == 401
    assert answer.json["code"] == "unauthorized"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def raw_token(keys: Keys, claims: Claims) -> str:
    """Any claims, signed without a look at them."""
    key: Any = jwt.PyJWK(keys.private_jwk).key
    header = {"kid": keys.private_jwk["kid"]}
    return jwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm="ES256", headers=header)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_forged_tokens_are_refused(client: FlaskClient, keys: Keys, claims: Claims) -> None:
    kid = keys.private_jwk["kid"]
    good = keys.sign(claims)
    header, body, signature = good.split(".")
    other = Keys.fresh()
    with_our_kid = jwt.encode(claims, jwt.PyJWK(other.private_jwk).key, "ES256", {"kid": kid})
    rsa_key = rsa.generate_private_key(65537, 2048)
    forged = [
        with_our_kid,
        other.sign(claims),
        jwt.encode(claims, keys.hmac_secret, "HS256", {"kid": kid}),
        jwt.encode(claims, keys.private_jwk["x"], "HS256", {"kid": kid}),
        jwt.encode(claims, rsa_key, "RS256", {"kid": kid}),
        f"{part({'alg': 'none', 'kid': kid})}.{body}.",
        f"{part({'alg': 'ES256'})}.{body}.{signature}",
        f"{part({'alg': 'ES256', 'kid': [kid]})}.{body}.{signature}",
        f"{header}.{part(claims | {'role': 'app_admin'})}.{signature}",
        f"{header}.{body}.",
        f"{header}.{body}",
        good + "A" * 9000,
        "a.b.c",
        ".",
        "sb_publishable_x",
        keys.mint("anon"),
        keys.mint("service_role"),
    ]
    for token in forged:
        answer = ask(client, "me", token)
        assert (answer.status_code, answer.json["code"]) == (401, "unauthorized"), token[:40]


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dTpw", "Token x"])
def test_without_a_bearer_nobody_has_signed_in(client: FlaskClient, header: str | None) -> None:
    answer = client.get("/functions/v1/who/me", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers


def test_an_anonymous_sign_in_is_no_person(client: FlaskClient, keys: Keys, claims: Claims) -> None:
    token = keys.sign(claims | {"is_anonymous": True})
    answer = ask(client, "me", token)
    assert (answer.status_code, answer.json["code"]) == (403, "anonymous_forbidden")


@pytest.mark.parametrize(
    "end",
    ["update public.profiles set role = 'teacher' where user_id = %s", "delete from auth.users where id = %s"],
    ids=["demoted", "deleted"],
)
def test_administration_takes_administrators_of_now(stack: Stack, db: psycopg.Connection[Any], end: str) -> None:
    """A token keeps its role for an hour; who has lost the role or the account since is refused."""
    client = service(load_settings(stack.service_environment())).test_client()
    with student(stack) as person:
        db.execute("update public.profiles set role = 'admin' where user_id = %s", (person.user_id,))
        db.commit()
        token = sign_in(stack, person.email)
        assert ask(client, "admin", token).status_code == 200
        assert ask(client, "admin", token, apikey=stack.keys.publishable_key).status_code == 200
        db.execute(end.encode(), (person.user_id,))
        db.commit()
        assert ask(client, "admin", token).status_code == 403
        # as everywhere on the platform, the person's token wins over the key beside it
        assert ask(client, "admin", token, apikey=stack.keys.secret_key).status_code == 403


def test_administration_takes_the_secret_key(client: FlaskClient, keys: Keys, claims: Claims) -> None:
    assert ask(client, "admin", keys.secret_key).status_code == 200
    assert ask(client, "admin", None, apikey=keys.secret_key).status_code == 200
    assert ask(client, "admin", keys.secret_key, apikey=keys.secret_key).status_code == 200
    # the token the gateway puts in the key's place
    assert ask(client, "admin", keys.mint("service_role")).status_code == 200


def test_administration_refuses_everybody_else(client: FlaskClient, keys: Keys, claims: Claims) -> None:
    person = keys.sign(claims)
    assert ask(client, "admin", person).status_code == 403
    # as everywhere on the platform, the person's token wins over the key beside it
    assert ask(client, "admin", person, apikey=keys.secret_key).status_code == 403
    # a role that users could name themselves is not the database role
    assert ask(client, "admin", keys.sign(claims | {"user_role": "admin"})).status_code == 403
    refused = [
        (None, {}),
        (None, {"apikey": keys.publishable_key}),
        (None, {"apikey": "sb_secret_guess"}),
        (keys.publishable_key, {}),
        ("sb_secret_guess", {}),
        (keys.mint("anon"), {}),
        (Keys.fresh().mint("service_role"), {}),
        (keys.sign(claims | {"role": "app_admin", "exp": 1}), {}),
        (raw_token(keys, {"role": "service_role"}), {}),
    ]
    for token, headers in refused:
        assert ask(client, "admin", token, **headers).status_code == 401, (token, headers)


def test_keys_are_fetched_once_for_many_tokens(client: FlaskClient, keys: Keys, claims: Claims, jwks: Loopback) -> None:
    for _ in range(20):
        assert ask(client, "me", keys.sign(claims | {"sub": str(uuid.uuid4())})).status_code == 200
    assert jwks.seen == ["/auth/v1/.well-known/jwks.json"]


def test_an_unknown_kid_asks_anew_once_a_minute(
    settings: Settings, keys: Keys, claims: Claims, jwks: Loopback, clock: HeldClock
) -> None:
    verifier = TokenVerifier(settings, clock)
    verifier.person(keys.sign(claims))
    rotated = Keys.fresh()
    for _ in range(10):
        with pytest.raises(Unauthorized):
            verifier.person(rotated.sign(claims))
    assert len(jwks.seen) == 2
    # the new key gets published; after the cool-down its tokens are good
    both = {"keys": [*keys.public_jwks["keys"], *rotated.public_jwks["keys"]]}
    jwks.answer = lambda handler: reply(handler, 200, json.dumps(both).encode())
    clock.sleep(61)
    assert verifier.person(rotated.sign(claims)).user_id == claims["sub"]
    assert len(jwks.seen) == 3


def test_a_withdrawn_key_is_forgotten_after_ten_minutes(
    settings: Settings, keys: Keys, claims: Claims, jwks: Loopback, clock: HeldClock
) -> None:
    verifier = TokenVerifier(settings, clock)
    verifier.person(keys.sign(claims))
    jwks.answer = lambda handler: reply(handler, 200, json.dumps(Keys.fresh().public_jwks).encode())
    clock.sleep(601)
    with pytest.raises(Unauthorized):
        verifier.person(keys.sign(claims))


def test_known_keys_outlive_an_outage(
    settings: Settings, keys: Keys, claims: Claims, jwks: Loopback, clock: HeldClock
) -> None:
    verifier = TokenVerifier(settings, clock)
    verifier.person(keys.sign(claims))
    jwks.answer = lambda handler: reply(handler, 500, b"{}")
    clock.sleep(601)
    assert verifier.person(keys.sign(claims)).user_id == claims["sub"]
    with pytest.raises(Unavailable):
        verifier.person(Keys.fresh().sign(claims))


BROKEN: list[Handler] = [
    lambda handler: reply(handler, 500, b"{}"),
    lambda handler: reply(handler, 200, b"<html>", "text/html"),
    lambda handler: reply(handler, 200, b"[]"),
    lambda handler: reply(handler, 200, b'{"keys":7}'),
    hang_up,
]


@pytest.mark.parametrize("broken", BROKEN)
def test_without_keys_it_is_a_503_with_retry_after(
    client: FlaskClient, keys: Keys, claims: Claims, jwks: Loopback, broken: Callable[..., None]
) -> None:
    jwks.answer = broken
    answer = ask(client, "me", keys.sign(claims))
    assert (answer.status_code, answer.json["code"]) == (503, "service_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


def test_keys_of_other_kinds_are_left_out(
    settings: Settings, keys: Keys, claims: Claims, jwks: Loopback, clock: HeldClock
) -> None:
    odd = [
        None,
        {"kid": 7},
        {"kid": "a", "kty": "oct", "k": "AAAA", "alg": "HS256"},
        {"kid": "b", "kty": "EC", "crv": "P-256", "x": "!", "y": "!"},
        {"kid": "c", "kty": "EC", "crv": "P-256", "use": "enc"},
    ]
    document = json.dumps({"keys": [*odd, *keys.public_jwks["keys"]]}).encode()
    jwks.answer = lambda handler: reply(handler, 200, document)
    verifier = TokenVerifier(settings, clock)
    assert verifier.person(keys.sign(claims)).user_id == claims["sub"]
    symmetric = jwt.encode(claims, b"\0" * 32, "HS256", {"kid": "a"})
    with pytest.raises(Unauthorized):
        verifier.person(symmetric)


def rsa_jwk(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    """The public half of an RSA key, as a hosted project lists it."""
    made: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return made | {"kid": kid, "alg": "RS256", "use": "sig"}


def test_rsa_keys_count_as_well(
    settings: Settings, keys: Keys, claims: Claims, jwks: Loopback, clock: HeldClock
) -> None:
    good = rsa.generate_private_key(65537, 2048)
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505
    listed = {"keys": [rsa_jwk(good, "rsa"), rsa_jwk(short, "short"), *keys.public_jwks["keys"]]}
    jwks.answer = lambda handler: reply(handler, 200, json.dumps(listed).encode())
    verifier = TokenVerifier(settings, clock)
    assert verifier.person(jwt.encode(claims, good, "RS256", {"kid": "rsa"})).user_id == claims["sub"]
    assert verifier.person(keys.sign(claims)).user_id == claims["sub"], "both kinds stand side by side"
    pem = good.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with_public_key = jwt.PyJWS().encode(
        json.dumps(claims).encode(), hashlib.sha256(pem).digest(), "HS256", headers={"kid": "rsa"}
    )
    with pytest.warns(InsecureKeyLengthWarning):
        with_short_key = jwt.encode(claims, short, "RS256", {"kid": "short"})
    for token in (
        with_public_key,
        jwt.encode(claims, good, "RS512", {"kid": "rsa"}),
        jwt.encode(claims, good, "PS256", {"kid": "rsa"}),
        jwt.encode(claims, good, "RS256", {"kid": keys.private_jwk["kid"]}),
        jwt.encode(claims, jwt.PyJWK(keys.private_jwk).key, "ES256", {"kid": "rsa"}),
        jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS256", {"kid": "rsa"}),
        with_short_key,
    ):
        with pytest.raises(Unauthorized):
            verifier.person(token)


@pytest.mark.parametrize(
    ("answer", "refuses"),
    [
        (b'{"keys": []}', True),
        (b'{"keys": [{"kid": "a", "kty": "oct", "alg": "HS256"}]}', True),
        (json.dumps(Keys.fresh().public_jwks).encode(), False),
        (b"<html>", False),
        (b"[]", False),
    ],
)
def test_a_project_without_signing_keys_is_seen_at_the_start(
    settings: Settings, jwks: Loopback, answer: bytes, refuses: bool
) -> None:
    jwks.answer = lambda handler: reply(handler, 200, answer)
    problem = problem_at_start(settings)
    assert (problem is not None) == refuses
    if problem:
        assert "HS256" in problem
        assert "Switch on JWT signing keys" in problem


@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(token=st.text(max_size=120) | st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}"))
def test_no_text_breaks_the_verifier(settings: Settings, token: str, clock: HeldClock) -> None:
    verifier = TokenVerifier(settings, clock)
    with pytest.raises(Unauthorized):
        verifier.person(token)


def test_a_callers_repr_shows_no_token(settings: Settings, keys: Keys, claims: Claims, clock: HeldClock) -> None:
    token = keys.sign(claims)
    assert token not in repr(TokenVerifier(settings, clock).person(token))

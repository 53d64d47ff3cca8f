"""Our own key pairs, and the registration a login belongs to."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import psycopg

from functions.lti import registrations
from functions.lti.keys import MIN_PUBLISHED_SECONDS, SigningKey, current_key, load_signing_keys
from functions.shared.crypto import Envelope
from functions.shared.database import Database
from functions.shared.settings import load_settings
from scripts.native.paths import REPO
from scripts.native.stack import Stack
from tests.standins.lti import LtiStandIn
from tests.support.clocks import SkippingClock


def test_a_rotation_publishes_the_new_key_and_goes_on_signing_with_the_old_one(stack: Stack) -> None:
    settings = load_settings(stack.service_environment())
    database, crypto, clock = Database(settings), Envelope(settings.encryption_keys), SkippingClock()
    service = database.service()
    read = f"{stack.functions_url}/lti/jwks.json"
    before = httpx.get(read).json()["keys"]
    signing = current_key(load_signing_keys(service, crypto), clock)
    done = subprocess.run(
        [str(REPO / "scripts" / "rotate-lti-key")],
        env=stack.service_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = httpx.get(read)
    listed = {key["kid"]: key for key in answer.json()["keys"]}
    assert len(listed) == len(before) + 1
    assert {key["kid"] for key in before} < listed.keys()
    assert set(listed[signing.kid]) == {"kty", "n", "e", "alg", "use", "kid"}  # nothing of the private half
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = load_signing_keys(service, crypto)
    assert current_key(keys, clock).kid == signing.kid
    signed = signing.sign({"iss": "us"}, crypto)
    assert jwt.decode(signed, jwt.PyJWK(listed[signing.kid]), algorithms=["RS256"]) == {"iss": "us"}
    # a private half opens for its own row only
    with psycopg.connect(stack.db_url) as db:
        sealed = db.execute("select private_key_enc from private.lti_signing_keys").fetchall()
    assert all("PRIVATE" not in row[0] for row in sealed)


def test_the_newest_key_that_platforms_could_read_signs() -> None:
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)

    class At:
        def now(self) -> datetime:
            return now

    def key(kid: str, age: float, is_active: bool = True) -> SigningKey:
        return SigningKey(kid, "", {}, is_active, now - timedelta(seconds=age))

    clock: Any = At()
    young, ripe, old = key("young", 5), key("ripe", MIN_PUBLISHED_SECONDS), key("old", 10**6)
    assert current_key([young, ripe, old], clock).kid == "ripe"
    assert current_key([young, key("younger", 7)], clock).kid == "younger"
    assert current_key([key("retired", 10**5, False), old], clock).kid == "old"


def test_a_shared_issuer_and_client_is_told_apart_by_the_deployment(stack: Stack, connection_id: str) -> None:
    database = Database(load_settings(stack.service_environment()))
    service = database.service()
    with LtiStandIn() as lti:
        for platform in (lti.first, lti.second):
            platform.register(stack.rest_url, stack.service_token, connection_id, "1:same", f"1:{platform.name}")
        issuer, client = lti.first.issuer, lti.first.client_id
        assert registrations.find(service, issuer, client) is None
        assert registrations.find(service, issuer, client, "1:same") is None
        assert registrations.find(service, issuer, client, "1:unknown") is None
        found = registrations.find(service, issuer, client, "1:second")
        assert found is not None
        assert found.registration_id == lti.second.registration_id
        assert found.jwks_url == f"{lti.second.base_url}/jwks"
        assert "https://canvas.instructure.com" in found.origins
        assert lti.url in found.origins
        assert registrations.by_id(service, lti.first.registration_id) is not None


def test_the_configuration_names_our_addresses(stack: Stack) -> None:
    said = httpx.get(f"{stack.functions_url}/lti/config.json").json()
    assert said["oidc_initiation_url"] == f"{stack.functions_url}/lti/login"
    assert said["redirect_uris"] == [f"{stack.functions_url}/lti/launch"]
    assert "$Canvas.masqueradingUser.id" in said["custom_fields"].values()
    placed = {entry["placement"]: entry for entry in said["extensions"][0]["settings"]["placements"]}
    assert placed["assignment_selection"]["message_type"] == "LtiDeepLinkingRequest"
    assert {entry["target_link_uri"] for entry in placed.values()} == {said["target_link_uri"]}

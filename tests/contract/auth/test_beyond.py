"""What Auth does beyond the recorded exchanges: links, flows, rights and traces in the database."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
import uuid
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from scripts.native.stack import Stack
from tests.contract.auth.client import PASSWORD, Auth, Json, new_address, refusal
from tests.contract.auth.conftest import Rows


def test_a_session_leaves_its_traces(auth: Auth, rows: Rows) -> None:
    session = auth.sign_up()
    claims = jwt.decode(session["access_token"], options={"verify_signature": False})
    found = rows("select aal::text, user_id from auth.sessions where id = %s", claims["session_id"])
    assert found == [("aal1", uuid.UUID(session["user"]["id"]))]
    stored = rows("select encrypted_password, instance_id from auth.users where id = %s", session["user"]["id"])
    # rounds: tests/conftest.py asks for few, the real server takes 10
    assert re.match(r"\$2a\$(04|10)\$", stored[0][0])
    assert stored[0][1] == uuid.UUID(int=0)


def test_tokens_can_be_checked_by_anybody(auth: Auth, stack: Stack) -> None:
    token = auth.sign_up()["access_token"]
    keys = jwt.PyJWKSet.from_dict(auth.http.get("/.well-known/jwks.json").json())
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, keys[header["kid"]], ["ES256"], audience="authenticated", issuer=f"{stack.url}/auth/v1")
    assert claims["exp"] - claims["iat"] == 3600
    assert abs(claims["iat"] - time.time()) < 10


def test_forged_and_stale_tokens_are_refused(auth: Auth, stack: Stack) -> None:
    good = auth.sign_up()["access_token"]
    header, claims = jwt.get_unverified_header(good), jwt.decode(good, options={"verify_signature": False})
    kid = {"kid": header["kid"]}
    stranger = base64.urlsafe_b64encode(secrets.token_bytes(8)).decode()
    forged = [
        jwt.encode(claims, "", "none"),
        jwt.encode(claims, stack.keys.hmac_secret, "HS256", kid),
        jwt.encode(claims, stack.keys.hmac_secret, "HS256"),
        stack.keys.sign(claims | {"exp": int(time.time()) - 1}),
        good[:-6] + ("AAAAAA" if not good.endswith("AAAAAA") else "BBBBBB"),
        good.split(".")[0] + "." + stranger + "." + good.split(".")[2],
        "a.b.c",
        "abc",
    ]
    for token in forged:
        assert refusal(auth.call("GET", "/user", token=token)) == (403, "bad_jwt"), token
    assert auth.call("GET", "/user", token=stack.keys.sign(claims)).status_code == 200
    odd = {"sub": "17"}
    assert refusal(auth.call("GET", "/user", token=stack.keys.sign(claims | odd))) == (400, "bad_jwt")
    for role in ("authenticated", "anon", None):
        token = stack.keys.sign(claims | {"role": role})
        assert refusal(auth.call("GET", "/admin/users", token=token)) == (403, "not_admin")


def test_a_code_by_mail_finishes_in_the_browser_that_asked(auth: Auth, rows: Rows) -> None:
    email, verifier = new_address(), secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {"email": email, "code_challenge": challenge, "code_challenge_method": "s256", "data": {"n": 1}}
    assert auth.call("POST", "/otp", asked).json() == {}
    [(user_id, hashed, metadata)] = rows(
        "select u.id, t.token_hash, u.raw_user_meta_data from auth.users u join auth.one_time_tokens t"
        " on t.user_id = u.id where u.email = %s and t.token_type = 'recovery_token'",
        email,
    )
    assert hashed.startswith("pkce_")
    assert metadata["n"] == 1
    target = "http://127.0.0.1:3000/back?x=1"
    opened = auth.http.get("/verify", params={"token": hashed, "type": "magiclink", "redirect_to": target})
    assert opened.status_code == 303
    query = parse_qs(urlsplit(opened.headers["location"]).query)
    assert query["x"] == ["1"]
    exchange = {"auth_code": query["code"][0], "code_verifier": "not-it"}
    assert refusal(auth.call("POST", "/token?grant_type=pkce", exchange)) == (400, "bad_code_verifier")
    session = auth.call("POST", "/token?grant_type=pkce", exchange | {"code_verifier": verifier})
    assert session.status_code == 200, session.text
    assert session.json()["user"]["id"] == str(user_id)
    claims = jwt.decode(session.json()["access_token"], options={"verify_signature": False})
    assert [proof["method"] for proof in claims["amr"]] == ["magiclink"]
    again = auth.call("POST", "/token?grant_type=pkce", exchange | {"code_verifier": verifier})
    assert refusal(again) == (404, "flow_state_not_found")
    assert rows("select count(*) from auth.flow_state where user_id = %s", user_id) == [(0,)]
    assert refusal(auth.call("POST", "/token?grant_type=pkce", {})) == (400, "validation_failed")


@pytest.mark.parametrize(
    "flow",
    [
        {"code_challenge": "short", "code_challenge_method": "s256"},
        {"code_challenge": "x" * 50},
        {"code_challenge": "ö" * 50, "code_challenge_method": "s256"},
    ],
)
def test_bad_challenges_are_refused(auth: Auth, flow: Json) -> None:
    for path in ("/otp", "/recover", "/magiclink"):
        assert refusal(auth.call("POST", path, {"email": new_address()} | flow)) == (400, "validation_failed")


def test_an_address_changes_by_code_or_link(auth: Auth) -> None:
    old, new, newer = new_address(), new_address(), new_address()
    session = auth.sign_up(old)
    code = auth.link("email_change_new", old, new_email=new)
    assert code["verification_type"] == "email_change_new"
    assert code["new_email"] == new
    wrong = {"type": "email_change", "email": new, "token": "000000" if code["email_otp"] != "000000" else "111111"}
    assert refusal(auth.call("POST", "/verify", wrong)) == (403, "otp_expired")
    changed = auth.call("POST", "/verify", wrong | {"token": code["email_otp"]})
    assert changed.json()["user"]["email"] == new
    assert changed.json()["user"]["identities"][0]["identity_data"]["email"] == new
    assert auth.sign_in(new).status_code == 200
    assert refusal(auth.sign_in(old)) == (400, "invalid_credentials")
    link = auth.link("email_change_current", new, new_email=newer)
    query = parse_qs(urlsplit(link["action_link"]).query)
    assert query["type"] == ["email_change"]
    opened = auth.http.get("/verify", params={"token": query["token"][0], "type": "email_change"})
    assert "access_token=" in opened.headers["location"]
    assert auth.call("GET", "/user", token=session["access_token"]).json()["email"] == newer
    other = auth.sign_up()["user"]["email"]
    taken = auth.admin("POST", "/admin/generate_link", {"type": "email_change_new", "email": newer, "new_email": other})
    assert refusal(taken) == (422, "email_exists")


def test_an_address_that_somebody_has_cannot_be_taken(auth: Auth) -> None:
    other, mine = auth.sign_up()["user"]["email"], auth.sign_up()
    answer = auth.call("PUT", "/user", {"email": other.upper()}, mine["access_token"])
    assert refusal(answer) == (422, "email_exists")
    anonymous = auth.call("POST", "/signup", {}).json()["access_token"]
    assert refusal(auth.call("PUT", "/user", {"email": other}, anonymous)) == (422, "email_exists")
    assert refusal(auth.call("PUT", "/user", {"password": PASSWORD}, anonymous)) == (422, "validation_failed")


def test_a_new_password_ends_all_other_sessions(auth: Auth) -> None:
    email = new_address()
    first = auth.sign_up(email)
    second = auth.sign_in(email).json()
    assert auth.call("PUT", "/user", {"password": "another-horse-8"}, second["access_token"]).status_code == 200
    assert refusal(auth.call("GET", "/user", token=first["access_token"])) == (403, "session_not_found")
    assert refusal(auth.refresh(first["refresh_token"])) == (400, "refresh_token_not_found")
    assert auth.refresh(second["refresh_token"]).status_code == 200
    assert refusal(auth.sign_in(email)) == (400, "invalid_credentials")
    assert auth.sign_in(email, "another-horse-8").status_code == 200


def test_an_administrator_s_new_password_ends_every_session(auth: Auth) -> None:
    session = auth.sign_up()
    person = f"/admin/users/{session['user']['id']}"
    assert refusal(auth.admin("PUT", person, {"password": "a"})) == (422, "weak_password")
    assert auth.admin("PUT", person, {"password": "another-horse-8"}).status_code == 200
    assert refusal(auth.call("GET", "/user", token=session["access_token"])) == (403, "session_not_found")
    assert auth.sign_in(session["user"]["email"], "another-horse-8").status_code == 200


def test_passwords_are_measured_in_bytes(auth: Auth) -> None:
    def sign_up(password: str) -> httpx.Response:
        return auth.call("POST", "/signup", {"email": new_address(), "password": password})

    assert refusal(sign_up("ü" * 37)) == (400, "validation_failed")
    assert sign_up("ü" * 36).status_code == 200
    assert refusal(sign_up("übü")) == (422, "weak_password")  # five bytes


def test_recovery_by_code_ends_in_a_session_that_may_set_a_password(auth: Auth) -> None:
    email = new_address()
    auth.sign_up(email)
    code = auth.link("recovery", email)["email_otp"]
    for kind in ("signup", "invite", "email_change"):
        answer = auth.call("POST", "/verify", {"type": kind, "email": email, "token": code})
        assert refusal(answer) == (403, "otp_expired")
    session = auth.call("POST", "/verify", {"type": "recovery", "email": email.upper(), "token": code}).json()
    assert auth.call("PUT", "/user", {"password": "another-horse-8"}, session["access_token"]).status_code == 200
    assert auth.sign_in(email, "another-horse-8").status_code == 200


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, {"type": "email"}, "Verify requires either a token or a token hash"),
        (400, {"type": "email", "token": "1", "token_hash": "2"}, "Verify requires either a token or a token hash"),
        (400, {"type": "email", "token": "1"}, "Only an email address or phone number should be provided on verify"),
    ],
)
def test_verify_says_what_is_missing(auth: Auth, status: int, body: Json, message: str) -> None:
    answer = auth.call("POST", "/verify", body)
    assert (answer.status_code, answer.json()) == (status, {"code": "validation_failed", "message": message})


def test_what_somebody_says_of_himself_proves_nothing(auth: Auth) -> None:
    claimed = {"email_verified": True, "phone_verified": True, "sub": "me", "email": "other@example.test", "a": None}
    session = auth.sign_up(data=claimed | {"b": 1})
    user = auth.call("GET", "/user", token=session["access_token"]).json()
    proven = {"email": user["email"], "email_verified": True, "phone_verified": False, "sub": user["id"], "b": 1}
    assert user["user_metadata"] == proven
    assert user["identities"][0]["identity_data"] == proven | {"email_verified": False, "a": None}


def test_paths_that_do_not_exist(auth: Auth) -> None:
    assert auth.admin("GET", "/admin/nowhere").status_code == 404
    assert auth.admin("PATCH", "/admin/users").status_code == 405
    assert auth.call("POST", "/user", token=auth.sign_up()["access_token"]).status_code == 405
    assert auth.call("GET", "/signup").status_code == 405


def test_links_lead_only_where_people_may_be_sent(auth: Auth) -> None:
    email = new_address()
    auth.sign_up(email)
    site = "http://127.0.0.1:3000"
    for wanted, target in [
        (f"{site}/a/b?c=d", f"{site}/a/b?c=d"),
        ("http://localhost:3000/x", "http://localhost:3000/x"),
        ("http://127.0.0.1:9999/native", "http://127.0.0.1:9999/native"),
        ("https://evil.example/", site),
        ("javascript:alert(1)", site),
        ("http://2130706433/", site),
        ("//evil.example", site),
        ("", site),
    ]:
        link = auth.link("magiclink", email, redirect_to=wanted)
        assert link["redirect_to"] == target
        assert parse_qs(urlsplit(link["action_link"]).query, keep_blank_values=True)["redirect_to"] == [target]
    opened = auth.http.get("/verify", params={"token": "x", "type": "signup", "redirect_to": "https://evil.example/"})
    assert opened.headers["location"].startswith(f"{site}#error=access_denied")
    assert refusal(auth.http.get("/verify", params={"type": "signup"})) == (400, "validation_failed")


def test_a_ban_ends_with_its_time_and_closes_links_too(auth: Auth) -> None:
    session = auth.sign_up()
    email, person = session["user"]["email"], f"/admin/users/{session['user']['id']}"
    hashed = auth.link("magiclink", email)["hashed_token"]
    auth.admin("PUT", person, {"ban_duration": "1h30m"})
    assert refusal(auth.call("POST", "/verify", {"type": "email", "token_hash": hashed})) == (403, "user_banned")
    assert refusal(auth.sign_in(email)) == (400, "user_banned")
    auth.admin("PUT", person, {"ban_duration": "1ms"})
    time.sleep(0.01)
    assert auth.sign_in(email).status_code == 200
    for duration in ("1d", "5", "-", "h", "1h-5m", ".s"):
        assert refusal(auth.admin("PUT", person, {"ban_duration": duration})) == (400, "validation_failed")


def test_a_deleted_person_leaves_nothing_and_frees_the_address(auth: Auth, rows: Rows) -> None:
    session = auth.sign_up()
    user_id, email = session["user"]["id"], session["user"]["email"]
    assert auth.admin("DELETE", f"/admin/users/{user_id}").json() == {}
    for table in ("users", "identities", "sessions", "refresh_tokens", "one_time_tokens"):
        column = "id" if table == "users" else "user_id"
        assert rows(f"select count(*) from auth.{table} where {column}::text = %s", user_id) == [(0,)]
    assert auth.sign_up(email)["user"]["id"] != user_id


def test_a_softly_deleted_person_cannot_be_recognised(auth: Auth, rows: Rows) -> None:
    session = auth.sign_up(data={"full_name": "Ada"})
    user_id, email = session["user"]["id"], session["user"]["email"]
    for _ in range(2):
        answer = auth.admin("DELETE", f"/admin/users/{user_id}", {"should_soft_delete": True})
        assert answer.json() == {}
    kept = rows("select to_jsonb(u) from auth.users u where id = %s", user_id)
    kept += rows("select to_jsonb(i) from auth.identities i where user_id = %s", user_id)
    assert len(kept) >= 1
    assert email not in str(kept)
    assert "Ada" not in str(kept)
    assert rows("select count(*) from auth.sessions where user_id = %s", user_id) == [(0,)]
    assert refusal(auth.sign_in(email)) == (400, "invalid_credentials")
    assert auth.sign_up(email)["user"]["id"] != user_id


def test_people_are_listed_in_pages(auth: Auth) -> None:
    ids = [auth.admin("POST", "/admin/users", {"email": new_address()}).json()["id"] for _ in range(3)]
    first = auth.admin("GET", "/admin/users?per_page=2")
    assert {user["id"] for user in first.json()["users"]} <= set(ids)
    total = int(first.headers["x-total-count"])
    last = -(-total // 2)
    assert 'page=2&per_page=2>; rel="next"' in first.headers["link"]
    assert f'page={last}&per_page=2>; rel="last"' in first.headers["link"]
    end = auth.admin("GET", f"/admin/users?page={last}&per_page=2")
    assert len(end.json()["users"]) == total - 2 * (last - 1)
    assert 'rel="next"' not in end.headers["link"]
    for query in ("page=-1", "per_page=x", "page=18446744073709551616", "per_page=0"):
        assert refusal(auth.admin("GET", f"/admin/users?{query}")) == (400, "validation_failed")


def test_a_person_may_come_with_an_id(auth: Auth) -> None:
    email, user_id = new_address(), str(uuid.uuid4())
    created = auth.admin("POST", "/admin/users", {"id": user_id, "email": email})
    assert created.json()["id"] == user_id
    assert [one["provider"] for one in created.json()["identities"]] == ["email"]


def test_an_invitation_can_be_repeated_until_it_is_accepted(auth: Auth) -> None:
    email = new_address()
    first = auth.admin("POST", "/invite", {"email": email, "data": {"k": "v"}}).json()
    assert first["invited_at"]
    assert auth.admin("POST", "/invite", {"email": email}).json()["id"] == first["id"]
    link = auth.link("invite", email)
    assert link["id"] == first["id"]
    answer = auth.call("POST", "/verify", {"type": "invite", "token_hash": link["hashed_token"]})
    assert answer.json()["user"]["user_metadata"] == {"k": "v", "email_verified": True}
    assert refusal(auth.admin("POST", "/invite", {"email": email})) == (422, "email_exists")
    assert refusal(auth.call("POST", "/invite", {"email": email})) == (401, "no_authorization")


def test_mails_come_once_a_minute_and_never_tell_who_exists(auth: Auth) -> None:
    email = new_address()
    session = auth.sign_up(email)
    for path in ("/recover", "/otp"):
        assert auth.call("POST", path, {"email": new_address()}).json() == {}
    assert auth.call("POST", "/otp", {"email": email}).json() == {}
    assert refusal(auth.call("POST", "/recover", {"email": email})) == (429, "over_email_send_rate_limit")
    auth.call("PUT", "/user", {"email": new_address()}, session["access_token"])
    change = auth.call("POST", "/resend", {"type": "email_change", "email": email})
    assert refusal(change) == (429, "over_email_send_rate_limit")
    assert auth.call("POST", "/resend", {"type": "signup", "email": email}).json() == {}
    for body in ({"type": "signup"}, {"type": "x", "email": email}, {"type": "email_change"}):
        assert refusal(auth.call("POST", "/resend", body)) == (400, "validation_failed")


def test_an_anonymous_person_becomes_a_permanent_one_with_the_same_id(auth: Auth) -> None:
    session = auth.call("POST", "/signup", {"data": {"theme": "dark"}}).json()
    email = new_address()
    changed = auth.call("PUT", "/user", {"email": email, "password": PASSWORD}, session["access_token"]).json()
    assert (changed["id"], changed["is_anonymous"]) == (session["user"]["id"], False)
    signed_in = auth.sign_in(email).json()
    assert signed_in["user"]["id"] == session["user"]["id"]
    assert signed_in["user"]["user_metadata"] == {"theme": "dark", "email_verified": True}
    claims = jwt.decode(signed_in["access_token"], options={"verify_signature": False})
    assert claims["is_anonymous"] is False


@pytest.mark.parametrize(
    "raw",
    [
        "[]",
        "17",
        '"x"',
        '{"email": ["a"]}',
        '{"email": "a@b.test", "password": 5}',
        '{"email": "a@b.test", "data": []}',
        '{"email": NaN}',
        '{"email": "a@b.test"} x',
        '{"email": "a@b.test", "data": {"n": 1e999}}',
        "{" * 5000,
    ],
)
def test_bodies_that_are_no_json_of_the_right_shape(auth: Auth, raw: str) -> None:
    assert refusal(auth.http.post("/signup", content=raw.encode())) == (400, "bad_json")


def test_bodies_are_read_as_leniently_as_the_real_server_reads_them(auth: Auth) -> None:
    email = new_address()
    raw = f'{{"EMAIL": "{email}", "password": "{PASSWORD}", "phone": null, "data": {{"n": 1.5}}, "other": [1]}}'
    answer = auth.http.post("/signup", content=raw.encode() + b" ")
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["email"] == email
    assert answer.json()["user"]["user_metadata"]["n"] == 1.5


@pytest.mark.parametrize(
    "email", ["a b@c.test", "a@b@c.test", "@c.test", "a@", "a@-c.test", "a@c..test", "ä@c.test", "a" * 250 + "@c.test"]
)
def test_addresses_that_are_none(auth: Auth, email: str) -> None:
    assert refusal(auth.call("POST", "/signup", {"email": email, "password": PASSWORD})) == (400, "validation_failed")


def test_the_older_shape_for_every_kind_of_refusal(auth: Auth) -> None:
    for version in ("", "2023-12-31", "tomorrow"):
        answer = auth.http.get("/user", headers={"X-Supabase-Api-Version": version})
        body = {"code": 401, "error_code": "no_authorization", "msg": "This endpoint requires a valid Bearer token"}
        assert answer.json() == body
        assert "x-supabase-api-version" not in answer.headers
    answer = auth.http.get("/user", headers={"X-Supabase-Api-Version": "2025-06-01"})
    assert answer.json()["code"] == "no_authorization"
    assert answer.headers["x-supabase-api-version"] == "2024-01-01"

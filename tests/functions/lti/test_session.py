"""From a launch to a session: accounts, roles, tickets, and what must not happen."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest

from functions.lti.routes import PER_MINUTE
from functions.shared.settings import load_settings
from scripts.native.stack import Stack
from tests.standins.canvas import PLAIN
from tests.standins.lti import LtiStandIn, Person
from tests.support.canvas import PASSWORD, Student
from tests.support.lti import Browser, rest_of, storage, ticket_of

FACULTY = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Faculty"
CROWD = 50
CLASS = 40


@pytest.fixture
def owner(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """The database, without row level security."""
    with psycopg.connect(stack.db_url, autocommit=True) as db:
        yield db


def test_a_teacher_comes_in_and_a_learner_stays_a_student(
    stack: Stack, lti: LtiStandIn, browser: Browser, owner: psycopg.Connection[Any]
) -> None:
    teacher, learner = Person(name="Terry\u202e Teacher"), Person(name="Lee Learner", email="terry@school.example")
    signed_in = browser.sign_in(lti.first, browser.launch(teacher))
    assert signed_in["launch"]["role"] == "teacher"
    assert signed_in["launch"]["context"] == {"id": "course-1", "label": "BIO-1", "title": "Biology"}
    assert (signed_in["launch"]["target_link_uri"], signed_in["launch"]["placement"]) == (
        browser.target,
        "course_navigation",
    )
    assert signed_in.keys() == {"access_token", "refresh_token", "expires_in", "token_type", "user", "launch"}
    user_id = signed_in["user"]["id"]
    assert signed_in["user"]["email"].startswith("lti-")
    assert signed_in["user"]["email"].endswith("@lti.invalid")
    assert user_id not in signed_in["user"]["email"]
    with rest_of(stack, signed_in) as rest:
        assert [row["role"] for row in rest.get("/profiles", params={"user_id": f"eq.{user_id}"}).json()] == ["teacher"]
        row = rest.get("/teachers").json()[0]
        assert (row["id"], row["canvas_user_id"], row["email"]) == (user_id, teacher.canvas_id, teacher.email)
        assert rest.post("/threads", json={}).status_code == 201
    # the same person once more, now as a learner of another course: the same account, another role there
    again = browser.sign_in(lti.first, browser.launch(teacher, roles=("Learner",), context_id="course-2"))
    assert (again["user"]["id"], again["launch"]["role"]) == (user_id, "student")
    kept = owner.execute(
        "select context_id, roles from private.lti_memberships where user_id = %s order by 1", (user_id,)
    ).fetchall()
    assert [(context, [role.rpartition("#")[2] for role in roles]) for context, roles in kept] == [
        ("course-1", ["Instructor"]),
        ("course-2", ["Learner"]),
    ]
    # an employee of the school who learns here, with the teacher's e-mail address
    studying = browser.sign_in(lti.first, browser.launch(learner, roles=("Learner", FACULTY)))
    assert studying["launch"]["role"] == "student"
    assert studying["user"]["id"] != user_id
    with rest_of(stack, studying) as rest:
        assert [row["role"] for row in rest.get("/profiles").json()] == ["student"]
        assert [row["display_name"] for row in rest.get("/profiles").json()] == ["Lee Learner"]
        assert rest.get("/teachers").json() == []
        assert rest.get("/threads").json() == []
        assert rest.post("/threads", json={}).status_code == 409  # the foreign key admits teachers alone
    claims = owner.execute(
        "select l.claims::text from private.lti_launches as l join private.lti_identities as i on i.id = l.identity_id"
        " where i.user_id = %s",
        (user_id,),
    ).fetchall()
    assert len(claims) == 2
    assert not any(word in text for (text,) in claims for word in ("Terry", "school.example", "avatar"))
    used = owner.execute("select last_used_at from private.lti_deployments where deployment_id = '1:deployment'")
    assert used.fetchall()[0][0] is not None


def test_the_same_subject_at_another_platform_is_another_person(lti: LtiStandIn, browser: Browser) -> None:
    person = Person()
    one = browser.sign_in(lti.first, browser.launch(person))
    other = browser.sign_in(lti.second, browser.launch(person, deployment_id="2:deployment"))
    assert one["user"]["id"] != other["user"]["id"]


def test_an_account_is_never_found_by_an_address(
    stack: Stack, lti: LtiStandIn, browser: Browser, person: Student
) -> None:
    signed_in = browser.sign_in(lti.first, browser.launch(Person(email=person.email)))
    assert signed_in["user"]["id"] != person.user_id
    assert person.rows("profiles")[0]["role"] == "student"


def test_fifty_first_launches_at_once_make_one_account(
    lti: LtiStandIn, browser: Browser, owner: psycopg.Connection[Any]
) -> None:
    launch = browser.launch()
    begun = [browser.login(lti.first, launch) for _ in range(CROWD)]
    fields = [{"id_token": lti.first.token(launch, one.nonce), "state": one.state} for one in begun]
    with ThreadPoolExecutor(CROWD) as pool:
        answers = list(pool.map(browser.post, begun, fields))
    assert [answer.status_code for answer in answers] == [303] * CROWD
    found = owner.execute(
        "select count(distinct u.id), count(distinct i.id) from private.lti_identities as i"
        " left join auth.users as u on u.id = i.user_id where i.sub = %s",
        (launch.person.sub,),
    ).fetchall()
    assert found == [(1, 1)]
    # two frames of one person, and a crowd with one ticket
    one, other = begun[0], begun[1]
    tickets = [ticket_of(answer.headers["location"]) for answer in answers]
    with ThreadPoolExecutor(CROWD) as pool:
        crowd = [pool.submit(browser.session, tickets[0], one.cookies) for _ in range(CROWD)]
        second = pool.submit(browser.session, tickets[1], other.cookies)
    statuses = sorted(one.result().status_code for one in crowd)
    assert statuses == [200] + [401] * (CROWD - 1)
    assert second.result().status_code == 200
    sessions = owner.execute(
        "select count(*) from auth.sessions as s join private.lti_identities as i on i.user_id = s.user_id"
        " where i.sub = %s",
        (launch.person.sub,),
    ).fetchall()
    assert sessions == [(2,)]
    assert owner.execute("select count(*) from private.lti_sign_in_locks").fetchall() == [(0,)]


def test_a_class_comes_in_at_once(lti: LtiStandIn, browser: Browser) -> None:
    launches = [browser.launch(roles=("Learner",)) for _ in range(CLASS)]
    with ThreadPoolExecutor(CLASS) as pool:
        sessions = list(pool.map(lambda launch: browser.sign_in(lti.first, launch), launches))
    assert len({session["user"]["id"] for session in sessions}) == CLASS


def test_two_frames_stay_signed_in_both(stack: Stack, lti: LtiStandIn, browser: Browser) -> None:
    launch = browser.launch()
    frames = [browser.arrive(lti.first, launch) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda frame: browser.session(frame[1], frame[0].cookies), frames))
    for answer in answers:
        assert answer.status_code == 200, answer.text
        with rest_of(stack, answer.json()) as rest:
            assert rest.get("/teachers").status_code == 200
        body = {"refresh_token": answer.json()["refresh_token"]}
        headers = {"apikey": stack.keys.publishable_key}
        newer = httpx.post(f"{stack.url}/auth/v1/token?grant_type=refresh_token", json=body, headers=headers)
        assert newer.status_code == 200, newer.text


def test_a_ticket_works_once_soon_and_in_its_browser(
    lti: LtiStandIn, browser: Browser, owner: psycopg.Connection[Any]
) -> None:
    launch = browser.launch()
    begun, ticket = browser.arrive(lti.first, launch)
    stranger, _ = browser.arrive(lti.first, launch)
    refused = [
        browser.session(ticket, {}),
        browser.session(ticket, stranger.cookies),
        browser.session(ticket, {}, binding="guessed"),
        browser.session("unknown", begun.cookies),
    ]
    late_begun, late = browser.arrive(lti.first, launch)
    digest = hashlib.sha256(late.encode()).hexdigest()
    owner.execute("update private.lti_tickets set expires_at = now() where ticket_hash = %s", (digest,))
    refused.append(browser.session(late, late_begun.cookies))
    good = browser.session(ticket, begun.cookies)
    assert good.status_code == 200
    assert good.headers["cache-control"] == "no-store"
    refused.append(browser.session(ticket, begun.cookies))
    answers = {(answer.status_code, answer.json()["code"], answer.json()["message"]) for answer in refused}
    assert {answer[:2] for answer in answers} == {(401, "lti_ticket_invalid")}
    assert len(answers) == 1


def test_the_secret_of_platform_storage_binds_as_a_cookie_does(lti: LtiStandIn, browser: Browser) -> None:
    launch = browser.launch()
    begun = browser.login(lti.first, launch, lti_storage_target="_parent")
    fields = {"id_token": lti.first.token(launch, begun.nonce), "state": begun.state}
    ticket = ticket_of(storage(browser.post(begun, fields, cookies={}))["next"])
    assert browser.session(ticket, {}).status_code == 401
    assert browser.session(ticket, {}, binding=storage(begun.answer)["value"]).status_code == 200


def test_a_deployment_switched_off_stops_tickets_too(
    lti: LtiStandIn, browser: Browser, owner: psycopg.Connection[Any]
) -> None:
    begun, ticket = browser.arrive(lti.first, browser.launch(deployment_id="1:other"))
    row = lti.first.deployments["1:other"]
    owner.execute("select public.svc_set_lti_status('deployment', %s, 'disabled')", (row,))
    try:
        answer = browser.session(ticket, begun.cookies)
        assert (answer.status_code, answer.json()["code"]) == (403, "lti_deployment_disabled")
    finally:
        owner.execute("select public.svc_set_lti_status('deployment', %s, 'active')", (row,))


@pytest.mark.parametrize("blocked", ["banned_until = now() + interval '1 hour'", "deleted_at = now()"])
def test_a_blocked_account_comes_in_no_more_and_is_not_made_again(
    lti: LtiStandIn, browser: Browser, owner: psycopg.Connection[Any], blocked: str
) -> None:
    launch = browser.launch()
    user_id = browser.sign_in(lti.first, launch)["user"]["id"]
    begun, ticket = browser.arrive(lti.first, launch)
    waiting = browser.login(lti.first, launch)
    owner.execute(f"update auth.users set {blocked} where id = %s".encode(), (user_id,))
    accounts = owner.execute("select count(*) from auth.users").fetchall()
    answer = browser.session(ticket, begun.cookies)
    assert (answer.status_code, answer.json()["code"]) == (403, "account_banned")
    fields = {"id_token": lti.first.token(launch, waiting.nonce), "state": waiting.state}
    answer = browser.post(waiting, fields, Accept="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "account_banned")
    assert owner.execute("select count(*) from auth.users").fetchall() == accounts


def test_a_student_with_a_guardian_does_not_become_a_teacher(
    lti: LtiStandIn, browser: Browser, owner: psycopg.Connection[Any]
) -> None:
    person = Person()
    user_id = browser.sign_in(lti.first, browser.launch(person, roles=("Learner",)))["user"]["id"]
    parent = browser.sign_in(lti.first, browser.launch(roles=("Mentor",)))["user"]["id"]
    owner.execute("update public.profiles set role = 'parent' where user_id = %s", (parent,))
    owner.execute("insert into public.guardianships (parent_id, student_id) values (%s, %s)", (parent, user_id))
    owner.execute(
        "update public.guardianships set status = 'active', consent_basis = 'student_consent', consented_at = now()"
        " where student_id = %s",
        (user_id,),
    )
    launch = browser.launch(person, context_id="course-3")
    begun = browser.login(lti.first, launch)
    fields = {"id_token": lti.first.token(launch, begun.nonce), "state": begun.state}
    answer = browser.post(begun, fields, Accept="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "lti_role_conflict")
    kept = owner.execute(
        "select p.role::text, count(m) from public.profiles as p left join private.lti_memberships as m"
        " on m.user_id = p.user_id and m.context_id = 'course-3' where p.user_id = %s group by 1",
        (user_id,),
    ).fetchall()
    assert kept == [("student", 0)]


def test_a_managed_account_gets_neither_password_nor_address_of_its_own(
    stack: Stack, lti: LtiStandIn, browser: Browser
) -> None:
    session = browser.sign_in(lti.first, browser.launch())
    headers = {"apikey": stack.keys.publishable_key}
    signed_in = {**headers, "Authorization": f"Bearer {session['access_token']}"}
    with httpx.Client(base_url=f"{stack.url}/auth/v1", timeout=30, verify=PLAIN, trust_env=False) as auth:
        auth.put("/user", json={"password": PASSWORD}, headers=signed_in)
        body = {"email": session["user"]["email"], "password": PASSWORD}
        answer = auth.post("/token?grant_type=password", json=body, headers=headers)
        assert answer.status_code == 403, answer.text
        changed = auth.put("/user", json={"email": f"own-{uuid.uuid4().hex}@example.test"}, headers=signed_in)
        assert changed.status_code >= 400
        assert auth.get("/user", headers=signed_in).json()["email"] == session["user"]["email"]


def test_a_person_joins_canvas_to_their_own_account(
    lti: LtiStandIn, browser: Browser, person: Student, stranger: Student, owner: psycopg.Connection[Any]
) -> None:
    launch = browser.launch()
    begun, ticket = browser.arrive(lti.first, launch)
    cookies = "; ".join(f"{name}={value}" for name, value in begun.cookies.items())
    headers = {"Cookie": cookies}
    assert person.functions.post("/lti/link", json={"ticket": ticket}).json()["code"] == "lti_ticket_invalid"
    accounts = owner.execute("select count(*) from auth.users").fetchall()[0][0]
    done = person.functions.post("/lti/link", json={"ticket": ticket}, headers=headers)
    assert (done.status_code, done.json()) == (200, {"linked": True})
    assert owner.execute("select count(*) from auth.users").fetchall()[0][0] == accounts - 1
    assert [row["payload"]["code"] for row in person.rows("notifications")] == ["lti_linked"]
    session = browser.sign_in(lti.first, launch)
    assert session["user"]["id"] == person.user_id
    assert session["launch"]["role"] == "teacher"
    assert person.rows("profiles")[0]["role"] == "student"  # an account of one's own keeps its role
    # somebody else cannot take the person over
    begun, ticket = browser.arrive(lti.first, launch)
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in begun.cookies.items())}
    taken = stranger.functions.post("/lti/link", json={"ticket": ticket}, headers=headers)
    assert (taken.status_code, taken.json()["code"]) == (409, "lti_identity_in_use")
    assert person.functions.delete("/lti/link").status_code == 204
    managed = browser.sign_in(lti.first, launch)
    assert managed["user"]["id"] != person.user_id
    bearer = {"Authorization": f"Bearer {managed['access_token']}"}
    assert browser.client.delete(f"{browser.functions_url}/lti/link", headers=bearer).status_code == 403


def test_a_class_is_told_when_to_come_again(
    stack: Stack, lti: LtiStandIn, browser: Browser, owner: psycopg.Connection[Any]
) -> None:
    from functions.app import create_app

    settings = replace(load_settings(stack.service_environment()), rate_limits=True)
    client = create_app(settings).test_client()
    bucket = f"lti-login:{hashlib.sha256(b'192.0.2.7').hexdigest()[:32]}"
    fill = """insert into private.rate_buckets (bucket, window_start, window_end, count)
        select %s, at, at + interval '1 minute', %s
        from unnest(array[date_trunc('minute', now()), date_trunc('minute', now()) + interval '1 minute']) as at"""
    owner.execute(fill, (bucket, PER_MINUTE - 1))
    form, path = lti.first.begin(browser.launch()), "/functions/v1/lti/login"
    school = {"X-Forwarded-For": "192.0.2.7"}
    assert client.post(path, data=form, headers=school).status_code == 303
    late = client.post(path, data=form, headers=school)
    assert late.status_code == 429
    assert 1 <= int(late.headers["Retry-After"]) <= 60
    assert late.mimetype == "text/html"
    assert f"Wait {late.headers['Retry-After']} seconds" in late.text
    assert lti.url in late.headers["Content-Security-Policy"]
    assert client.post(path, data=form, headers={"X-Forwarded-For": "192.0.2.8"}).status_code == 303

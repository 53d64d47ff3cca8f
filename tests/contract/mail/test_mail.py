"""Mails of Auth reach the box of the native stack, and its links work."""

from __future__ import annotations

import re
import secrets
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from scripts.native.auth import LOOPBACK_REDIRECTS, redirects
from scripts.native.stack import Stack
from tests.contract.auth.client import PASSWORD, new_address
from tests.support.javascript import run_js

Json = dict[str, Any]


class MailBox:
    """The box as tests of a front end use it."""

    def __init__(self, stack: Stack) -> None:
        exported = stack.exports()
        self.smtp = exported["SMTP_HOST"], int(exported["SMTP_PORT"])
        self.http = httpx.Client(base_url=exported["STACK_MAIL_URL"], timeout=10, trust_env=False)

    def to(self, address: str) -> list[Json]:
        """Mails to an address, newest first."""
        answer = self.http.get("/api/messages", params={"to": address})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["messages"])

    def send(self, address: str, subject: str, text: str, html: str | None = None) -> None:
        """Sends a mail through SMTP, as any service does."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "someone@example.test", address, subject
        message.set_content(text)
        if html is not None:
            message.add_alternative(html, subtype="html")
        with smtplib.SMTP(*self.smtp, "localhost", 10) as server:
            server.send_message(message)

    def page(self, path: str = "") -> str:
        """A page of the box."""
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.fixture
def box(stack: Stack) -> Iterator[MailBox]:
    found = MailBox(stack)
    yield found
    found.http.close()


def follow(link: str) -> dict[str, str]:
    """What the front end finds behind the hash sign after a mailed link was opened, with the address as ``target``."""
    answer = httpx.get(link, trust_env=False)
    assert answer.status_code == 303, answer.text
    target = urlsplit(answer.headers["location"])
    found = {name: values[0] for name, values in parse_qs(target.fragment).items()}
    return found | {"target": target._replace(fragment="").geturl()}


ASK_FOR_A_LINK = """
const [email, redirectTo] = given
must(await client.auth.signInWithOtp({ email, options: { emailRedirectTo: redirectTo } }))
say('asked')
"""


@pytest.mark.parametrize(
    "target", ["http://localhost:5173/welcome", "http://127.0.0.1:4321/a/b", "http://localhost:8081"]
)
def test_a_magic_link_signs_in_and_leads_to_any_port_of_this_machine(
    stack: Stack, node: str, box: MailBox, target: str
) -> None:
    email = new_address()
    run_js(node, stack, ASK_FOR_A_LINK, email, target)
    [mail] = box.to(email)
    assert mail["to"] == [email]
    [link] = mail["links"]
    assert link.startswith(f"{stack.url}/")
    found = follow(link)
    assert found["target"] == target
    assert found["type"] == "magiclink"
    assert _user(stack, found["access_token"])["email"] == email


def _user(stack: Stack, token: str) -> Json:
    headers = {"apikey": stack.keys.publishable_key, "Authorization": f"Bearer {token}"}
    return dict(httpx.get(f"{stack.url}/auth/v1/user", headers=headers, trust_env=False).json())


def test_the_code_of_a_mail_signs_in_too(stack: Stack, node: str, box: MailBox) -> None:
    email = new_address()
    run_js(node, stack, ASK_FOR_A_LINK, email, "http://localhost:5173")
    [code] = re.findall(r"\b\d{6}\b", box.to(email)[0]["text"])
    script = """
    const [email, token] = given
    say(must(await client.auth.verifyOtp({ email, token, type: 'email' })).user.email)
    """
    assert run_js(node, stack, script, email, code) == email


def test_recovery_by_mail_ends_with_a_new_password(stack: Stack, node: str, box: MailBox) -> None:
    email = new_address()
    script = """
    const [email, password] = given
    must(await client.auth.signUp({ email, password }))
    must(await client.auth.resetPasswordForEmail(email, { redirectTo: 'http://localhost:5173/new-password' }))
    say('asked')
    """
    run_js(node, stack, script, email, PASSWORD)
    found = follow(box.to(email)[0]["links"][0])
    assert (found["type"], found["target"]) == ("recovery", "http://localhost:5173/new-password")
    script = """
    const [access_token, refresh_token, email, password] = given
    must(await client.auth.setSession({ access_token, refresh_token }))
    must(await client.auth.updateUser({ password }))
    say(must(await client.auth.signInWithPassword({ email, password })).user.email)
    """
    tokens = found["access_token"], found["refresh_token"]
    assert run_js(node, stack, script, *tokens, email, "another-horse-8") == email


def test_an_invitation_and_a_change_of_address_reach_their_people(stack: Stack, node: str, box: MailBox) -> None:
    email, other = new_address(), new_address()
    script = """
    const admin = clientWith(process.env.SUPABASE_SECRET_KEY).auth.admin
    say(must(await admin.inviteUserByEmail(given[0], { redirectTo: 'http://localhost:5173/join' })).user.id)
    """
    invited = run_js(node, stack, script, email)
    found = follow(box.to(email)[0]["links"][0])
    assert (found["type"], found["target"]) == ("invite", "http://localhost:5173/join")
    assert _user(stack, found["access_token"])["id"] == invited
    script = """
    const [access_token, refresh_token, email] = given
    must(await client.auth.setSession({ access_token, refresh_token }))
    say(must(await client.auth.updateUser({ email }, { emailRedirectTo: 'http://localhost:5173' })).user.new_email)
    """
    assert run_js(node, stack, script, found["access_token"], found["refresh_token"], other) == other
    assert len(box.to(email)) == 2, "the current address is asked as well"
    changed = follow(box.to(other)[0]["links"][0])
    assert _user(stack, changed["access_token"])["email"] == other


def test_mail_text_is_shown_and_never_run(box: MailBox) -> None:
    address = new_address()
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    links = '<a href="https://example.test/a?b=1&amp;c=2">this</a> <a href="javascript:alert(1)">that</a>'
    box.send(address, f"Subject {evil}", f"Text {evil} https://example.test/text", f"<p>{links} {evil}</p>")
    [mail] = box.to(address)
    assert mail["links"] == ["https://example.test/a?b=1&c=2", "https://example.test/text"]
    for page in (box.page(f"?to={address}"), box.page(f"/{mail['id']}")):
        assert "<script" not in page
        assert "<img" not in page
        assert "javascript:" not in re.findall(r'href="([^"]*)"', page)
        assert evil in unescape(page)
    page = box.page(f"/{mail['id']}")
    assert '<a href="https://example.test/a?b=1&amp;c=2">' in page
    assert '<a href="https://example.test/text">' in page


def test_pages_run_nothing_and_name_their_parts(box: MailBox) -> None:
    address = new_address()
    box.send(address, "Hello", "Text")
    for path in ("", f"/{box.to(address)[0]['id']}"):
        answer = box.http.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert '<html lang="en">' in answer.text
        assert answer.text.count("<h1>") == 1
        assert "<caption>" in answer.text
        assert answer.headers["cache-control"] == "no-store"
    assert '<label for="to">' in box.page()
    assert box.http.get("/style.css").headers["content-type"].startswith("text/css")


def test_mails_can_be_listed_read_and_deleted(box: MailBox) -> None:
    address, other = new_address(), new_address()
    for number in (1, 2):
        box.send(address, f"Mail {number}", f"Number {number}")
    box.send(other, "Other", "Number 3")
    newest, oldest = box.to(address.upper())
    assert (newest["subject"], oldest["subject"]) == ("Mail 2", "Mail 1")
    assert newest["text"].strip() == "Number 2"
    assert newest["html"] is None
    assert {"name": "Subject", "value": "Mail 2"} in newest["headers"]
    assert box.http.get(f"/api/messages/{oldest['id']}").json() == oldest
    assert box.http.delete(f"/api/messages/{oldest['id']}").json() == {"deleted": 1}
    gone = box.http.get(f"/api/messages/{oldest['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert box.http.delete("/api/messages", params={"to": address}).json() == {"deleted": 1}
    assert box.to(address) == []
    assert len(box.to(other)) == 1


def test_some_addresses_are_refused_as_mail_servers_do(box: MailBox) -> None:
    for local, code in (("bounce", 550), ("busy", 451)):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            box.send(f"{local}-{secrets.token_hex(4)}@example.test", "x", "x")
        [(status, _)] = refused.value.recipients.values()
        assert status == code


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"Subject: =?nonsense?b?\r\n\r\nx",
        b'Content-Type: text/plain; charset="no-such"\r\n\r\n\xe4',
    ],
)
def test_anything_that_came_is_kept(box: MailBox, content: bytes) -> None:
    address = new_address()
    with smtplib.SMTP(*box.smtp, "localhost", 10) as server:
        server.sendmail("someone@example.test", [address], content)
    [mail] = box.to(address)
    assert box.page(f"/{mail['id']}")


def test_no_other_origin_reads_the_box(box: MailBox, stack: Stack) -> None:
    answer = box.http.get("/api/messages", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "DELETE"}
    assert "access-control-allow-origin" not in box.http.options("/api/messages", headers=asked).headers
    rebound = box.http.get("/api/messages", headers={"Host": f"elsewhere.example:{stack.gateway_port}"})
    assert (rebound.status_code, rebound.json()["code"]) == (403, "forbidden")


def test_a_refused_mail_is_a_clear_error(stack: Stack, node: str) -> None:
    script = """
    const { error } = await client.auth.signInWithOtp({ email: given[0] })
    say({ status: error.status, code: error.code })
    """
    address = f"bounce-{secrets.token_hex(4)}@example.test"
    assert run_js(node, stack, script, address) == {"status": 500, "code": "unexpected_failure"}


@pytest.mark.parametrize(
    ("chosen", "site", "allowed"),
    [
        ({}, "http://127.0.0.1:3000", LOOPBACK_REDIRECTS),
        ({"FRONTEND_URL": "http://localhost:5173"}, "http://localhost:5173", LOOPBACK_REDIRECTS),
        (
            {"FRONTEND_URL": "http://localhost:5173", "GOTRUE_SITE_URL": "http://localhost:4200"},
            "http://localhost:4200",
            LOOPBACK_REDIRECTS,
        ),
        ({"GOTRUE_URI_ALLOW_LIST": "https://a.test/**"}, "http://127.0.0.1:3000", "https://a.test/**"),
    ],
)
def test_where_links_lead_is_the_developers_choice(chosen: dict[str, str], site: str, allowed: str) -> None:
    assert redirects(chosen) == {"GOTRUE_SITE_URL": site, "GOTRUE_URI_ALLOW_LIST": allowed}

"""Auth as its callers see it: by address, by token, by service token."""

from __future__ import annotations

import secrets
from typing import Any

import httpx

from tests.contract.auth.replay import VERSION

PASSWORD = "correct-horse-7"
Json = dict[str, Any]


class Auth:
    """Auth as its callers see it: by address, by token, by service token."""

    def __init__(self, base: str, service_token: str) -> None:
        self._service_token = service_token
        self.http = httpx.Client(base_url=base, headers=VERSION, timeout=20, trust_env=False)

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> httpx.Response:
        """One request, as the person of ``token`` or as nobody."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.request(method, path, json=body, headers=headers)

    def admin(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """One request as the administration."""
        return self.call(method, path, body, self._service_token)

    def sign_up(self, email: str | None = None, **more: Any) -> Json:
        """A new person's session."""
        answer = self.call("POST", "/signup", {"email": email or new_address(), "password": PASSWORD, **more})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def sign_in(self, email: str, password: str = PASSWORD) -> httpx.Response:
        """What a sign-in is answered."""
        return self.call("POST", "/token?grant_type=password", {"email": email, "password": password})

    def refresh(self, token: str) -> httpx.Response:
        """What a refresh is answered."""
        return self.call("POST", "/token?grant_type=refresh_token", {"refresh_token": token})

    def link(self, kind: str, email: str, **more: Any) -> Json:
        """A generated link."""
        answer = self.admin("POST", "/admin/generate_link", {"type": kind, "email": email, **more})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def new_address() -> str:
    """An address nobody has yet."""
    return f"who-{secrets.token_hex(6)}@example.test"


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal in the newer shape."""
    return answer.status_code, str(answer.json()["code"])

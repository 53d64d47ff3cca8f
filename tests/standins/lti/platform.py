"""One platform: its keys, its launches, its tokens. Every part of a token can be changed, also to what is forbidden."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from tests.standins.lti.services import Services

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership#"
INSTITUTION = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#"
NAMES_AND_ROLES = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
GRADES = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
DEEP_LINKING_SETTINGS = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
GRADE_SCOPES = [
    f"https://purl.imsglobal.org/spec/lti-ags/scope/{name}" for name in ("lineitem", "score", "result.readonly")
]
HINT_SECONDS = 300


_keys: dict[str, RSAPrivateKey] = {}
_making = threading.Lock()


def key_named(name: str) -> RSAPrivateKey:
    """A key pair for this run; making one takes a while, so each name has its own for good."""
    with _making:
        if name not in _keys:
            _keys[name] = generate_private_key(public_exponent=65537, key_size=2048)
        return _keys[name]


@dataclass(frozen=True)
class Person:
    """Somebody at a platform. ``roles`` are full URIs, or the short names of course roles."""

    sub: str | None = field(default_factory=lambda: str(uuid.uuid4()))
    name: str = "Terry Teacher"
    email: str | None = "terry@school.example"
    canvas_id: str = field(default_factory=lambda: str(secrets.randbelow(10**9)))
    masquerading: str = "$Canvas.masqueradingUser.id"


@dataclass(frozen=True)
class Launch:
    """What a person opens. Roles are short names of course roles, or full URIs."""

    target_link_uri: str
    person: Person = field(default_factory=Person)
    roles: tuple[str, ...] = ("Instructor",)
    context_id: str | None = "course-1"
    message_type: str = "LtiResourceLinkRequest"
    deployment_id: str = "1:deployment"
    extra: Mapping[str, Any] = field(default_factory=dict)


class Platform:
    """One platform with one client and any number of deployments.

    :param base_url: where its endpoints are; set by the server that serves it
    """

    def __init__(self, name: str, base_url: str, issuer: str, client_id: str) -> None:
        self.name = name
        self.base_url = base_url
        self.issuer = issuer
        self.client_id = client_id
        self.kids = [f"{name}-1"]
        self.waiting: dict[str, tuple[float, Launch]] = {}
        self.jwks_reads = 0
        self.jwks_down = False
        self.registration_id = ""
        self.deployments: dict[str, str] = {}
        self.school_url = base_url
        # what the pages of courses open, with the tool's login address and further parameters of the login
        self.pages: list[tuple[Launch, str, dict[str, str]]] = []
        self.services = Services(f"{base_url}/token", client_id)

    @property
    def urls(self) -> dict[str, str]:
        """The addresses that the registry wants, by parameter of ``svc_register_lti_platform``."""
        return {
            "p_jwks_url": f"{self.base_url}/jwks",
            "p_auth_url": f"{self.base_url}/auth",
            "p_token_url": f"{self.base_url}/token",
        }

    def rotate(self) -> None:
        """Signs with a new key from now on; the old one stays published."""
        self.kids.insert(0, f"{self.name}-{len(self.kids) + 1}")

    def key_set(self) -> dict[str, Any]:
        """The published keys."""
        return {"keys": [public_jwk(key_named(kid), kid) for kid in self.kids]}

    def register(self, rest_url: str, service_token: str, connection_id: str, *deployment_ids: str) -> None:
        """Makes the platform, its client and deployments known to a running stack, as an administrator would."""
        headers = {"apikey": service_token, "Authorization": f"Bearer {service_token}"}
        with httpx.Client(base_url=f"{rest_url}/rpc/", headers=headers, timeout=10, trust_env=False) as client:

            def call(name: str, **args: str) -> str:
                answer = client.post(name, json=args)
                assert answer.status_code == 200, answer.text
                return str(answer.json())

            platform_id = call("svc_register_lti_platform", p_issuer=self.issuer, p_name=self.name, **self.urls)
            self.registration_id = call(
                "svc_register_lti_client", p_platform_id=platform_id, p_client_id=self.client_id
            )
            for deployment_id in deployment_ids or ("1:deployment",):
                self.deployments[deployment_id] = call(
                    "svc_register_lti_deployment",
                    p_registration_id=self.registration_id,
                    p_deployment_id=deployment_id,
                    p_lms_connection_id=connection_id,
                )

    # ---- step 1: the login that the platform starts -----------------------------------------------------------------

    def begin(self, launch: Launch, **more: str) -> dict[str, str]:
        """The form that the person's browser posts to our login; the launch waits under its hint."""
        hint = secrets.token_urlsafe(12)
        self.waiting[hint] = (time.monotonic() + HINT_SECONDS, launch)
        return {
            "iss": self.issuer,
            "login_hint": launch.person.sub or "anonymous",
            "target_link_uri": launch.target_link_uri,
            "lti_message_hint": hint,
            "client_id": self.client_id,
            "deployment_id": launch.deployment_id,
            "canvas_region": "us-east-1",
            **more,
        }

    def take(self, hint: str) -> Launch | None:
        """The launch that waits under a hint, once."""
        until, launch = self.waiting.pop(hint, (0.0, None))
        return launch if time.monotonic() < until else None

    # ---- step 3: the token ------------------------------------------------------------------------------------------

    def claims(self, launch: Launch, nonce: str) -> dict[str, Any]:
        """The claims of a good token, as Canvas writes them."""
        now, person = int(time.time()), launch.person
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.client_id,
            "azp": self.client_id,
            "iat": now,
            "exp": now + 3600,
            "nonce": nonce,
            "sub": person.sub,
            "name": person.name,
            "email": person.email,
            "picture": f"{self.school_url}/avatar.png",
            "locale": "en",
            f"{CLAIM}message_type": launch.message_type,
            f"{CLAIM}version": "1.3.0",
            f"{CLAIM}deployment_id": launch.deployment_id,
            f"{CLAIM}target_link_uri": launch.target_link_uri,
            f"{CLAIM}roles": [role if role.startswith("http") else MEMBERSHIP + role for role in launch.roles],
            f"{CLAIM}tool_platform": {"guid": self.name, "product_family_code": "canvas", "version": "cloud"},
            f"{CLAIM}launch_presentation": {
                "document_target": "iframe",
                "return_url": f"{self.school_url}/return",
                "locale": "en",
            },
            f"{CLAIM}custom": {
                "canvas_user_id": person.canvas_id,
                "masquerading_user_id": person.masquerading,
                "canvas_course_id": "$Canvas.course.id",
            },
            "https://www.instructure.com/placement": "course_navigation",
        }
        if launch.context_id is not None:
            claims |= self._course(launch.context_id)
        if launch.message_type == "LtiDeepLinkingRequest":
            claims[DEEP_LINKING_SETTINGS] = {
                "deep_link_return_url": f"{self.school_url}/deep-link-return",
                "accept_types": ["ltiResourceLink", "link"],
                "accept_presentation_document_targets": ["iframe", "window"],
                "accept_multiple": False,
                "data": "opaque-deep-linking-data",
            }
        else:
            claims[f"{CLAIM}resource_link"] = {"id": f"link-{launch.context_id or 'account'}", "title": "Headstart"}
        return {**{name: value for name, value in claims.items() if value is not None}, **launch.extra}

    def _course(self, context_id: str) -> dict[str, Any]:
        services = f"{self.base_url}/courses/{context_id}"
        return {
            f"{CLAIM}context": {
                "id": context_id,
                "label": "BIO-1",
                "title": "Biology",
                "type": ["http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering"],
            },
            NAMES_AND_ROLES: {"context_memberships_url": f"{services}/memberships", "service_versions": ["2.0"]},
            GRADES: {"scope": GRADE_SCOPES, "lineitems": f"{services}/line_items"},
        }

    def token(
        self,
        launch: Launch,
        nonce: str,
        *,
        change: Mapping[str, Any] | None = None,
        remove: Iterable[str] = (),
        header: Mapping[str, Any] | None = None,
        key: RSAPrivateKey | None = None,
    ) -> str:
        """A signed token.

        :param change: claims to replace or add
        :param remove: claims to leave out
        :param header: header fields to replace or add; None leaves one out
        :param key: signs instead of the platform's own
        """
        claims = {**self.claims(launch, nonce), **(change or {})}
        return signed(
            {name: value for name, value in claims.items() if name not in set(remove)},
            {"alg": "RS256", "typ": "JWT", "kid": self.kids[0], **(header or {})},
            key or key_named(self.kids[0]),
        )


def signed(claims: Any, header: Mapping[str, Any], key: RSAPrivateKey) -> str:
    """A compact JWS by RS256, whatever its header claims. A header field of None is left out."""
    parts = [{name: value for name, value in header.items() if value is not None}, claims]
    body = b".".join(encoded(json.dumps(part).encode()) for part in parts)
    return (body + b"." + encoded(RSAAlgorithm(RSAAlgorithm.SHA256).sign(body, key))).decode()


def encoded(raw: bytes) -> bytes:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def public_jwk(key: RSAPrivateKey, kid: str) -> dict[str, Any]:
    """The public half of a key as it stands in a key set."""
    return {
        **jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True),
        "kid": kid,
        "alg": "RS256",
        "use": "sig",
    }

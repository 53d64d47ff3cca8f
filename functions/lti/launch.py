"""Checks the token of a launch. The order of the checks is that of the LTI security framework.

A token is trusted for what it says only after its signature was checked with the keys of the registration that the
login was stored with. Nothing here touches the database or the request.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import jwt
from jwt.types import Options

from functions.lti.configuration import DEEP_LINKING, MASQUERADE_FIELD, RESOURCE_LINK, USER_FIELD
from functions.lti.errors import LaunchRefused, LaunchReused, NotSignedIn
from functions.lti.registrations import Registration

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
NAMES_AND_ROLES = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
GRADES = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
DEEP_LINKING_SETTINGS = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
PLACEMENT = "https://www.instructure.com/placement"
# what later calls need of a launch; nothing that names a person
KEPT = (
    f"{CLAIM}message_type",
    f"{CLAIM}target_link_uri",
    f"{CLAIM}context",
    f"{CLAIM}resource_link",
    f"{CLAIM}roles",
    NAMES_AND_ROLES,
    GRADES,
    DEEP_LINKING_SETTINGS,
    PLACEMENT,
)
MAX_TOKEN_BYTES = 32 * 1024
MAX_ID_CHARACTERS = 255
MAX_SKEW_SECONDS = 60
MAX_AGE_SECONDS = 600
MAX_NESTING = 10
ALGORITHM = "RS256"
UNCHECKED: Options = {
    "verify_aud": False,
    "verify_iss": False,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclass(frozen=True)
class State:
    """A login as it was stored."""

    registration_id: str
    nonce: str = field(repr=False)
    target_link_uri: str
    binding_hash: str
    deployment_hint: str | None
    storage_target: str | None


@dataclass(frozen=True)
class Claims:
    """The claims of a token whose signature, audience, times and nonce are right."""

    raw: Mapping[str, Any] = field(repr=False)

    def lti(self, name: str) -> Any:
        """A claim of LTI itself."""
        return self.raw.get(f"{CLAIM}{name}")

    def text(self, name: str, max_characters: int) -> str | None:
        """A top-level claim as text, cut; None when there is none."""
        value = self.raw.get(name)
        return clean(value)[:max_characters] or None if isinstance(value, str) else None

    @property
    def message_type(self) -> str:
        """LtiResourceLinkRequest or LtiDeepLinkingRequest."""
        return str(self.lti("message_type"))

    @property
    def deployment_id(self) -> str:
        """The platform's id of the deployment."""
        return str(self.lti("deployment_id"))

    @property
    def sub(self) -> str:
        """The person's id at the platform."""
        return str(self.raw["sub"])

    @property
    def target_link_uri(self) -> str:
        """The page to open."""
        return str(self.lti("target_link_uri"))

    @property
    def roles(self) -> list[str]:
        """Every role, of the course and others."""
        return list(self.lti("roles"))

    @property
    def context_id(self) -> str | None:
        """The platform's id of the course."""
        context = self.lti("context")
        found = context.get("id") if isinstance(context, dict) else None
        return found if _is_id(found) else None

    @property
    def canvas_user_id(self) -> str | None:
        """The person's id in Canvas, when the tool is configured to send it."""
        found = custom(self.raw, USER_FIELD)
        return found if found is not None and len(found) <= MAX_ID_CHARACTERS else None

    def kept(self) -> dict[str, Any]:
        """The claims that later calls need, without personal data."""
        return {name: _storable(self.raw[name], MAX_NESTING) for name in KEPT if name in self.raw}


def signed_claims(
    token: str, state: State, registration: Registration, key_of: Callable[[str], jwt.PyJWK | None], now: float
) -> Claims:
    """The claims of a token that this platform signed for us, for this login, a moment ago.

    :param key_of: the platform's public key with an id, or None
    :param now: seconds since 1970
    :raise LaunchRefused: the token does not pass; ``reason`` names the check
    :raise LaunchReused: the token belongs to another login
    :raise Unavailable: the platform's keys cannot be read
    """
    header = _header(token)
    if header.get("alg") != ALGORITHM or "crit" in header:
        raise LaunchRefused("algorithm")
    kid = header.get("kid")
    key = key_of(kid) if _is_id(kid) else None
    if key is None:
        raise LaunchRefused("unknown_key")
    try:
        # the claims are checked below: PyJWT takes digit strings as times, and any list with us in it as audience
        payload: Any = jwt.decode(token, key, algorithms=[ALGORITHM], options=UNCHECKED)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise LaunchRefused("signature") from error
    if not isinstance(payload, dict) or payload.get("iss") != registration.issuer:
        raise LaunchRefused("issuer")
    _check_audience(payload, registration.client_id)
    _check_times(payload, now)
    nonce = payload.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode("utf-8", "replace"), state.nonce.encode()):
        raise LaunchReused("nonce")
    claims = Claims(payload)
    if claims.lti("version") != "1.3.0" or claims.lti("message_type") not in (RESOURCE_LINK, DEEP_LINKING):
        raise LaunchRefused("message", 400)
    if not _is_id(claims.lti("deployment_id")):
        raise LaunchRefused("deployment", 403)
    if state.deployment_hint is not None and claims.deployment_id != state.deployment_hint:
        raise LaunchRefused("deployment", 403)
    return claims


def check_content(claims: Claims, state: State, is_ours: Callable[[str], bool]) -> None:
    """Checks who launches and what, once the deployment is known.

    :param is_ours: whether an address is one of our pages
    :raise NotSignedIn: an anonymous visitor of a public course
    :raise LaunchRefused: the launch does not pass
    """
    if not _is_id(claims.raw.get("sub")):
        raise NotSignedIn("subject", 403)
    target = claims.lti("target_link_uri")
    if not isinstance(target, str) or target != state.target_link_uri or not is_ours(target):
        raise LaunchRefused("target", 400)
    roles = claims.lti("roles")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise LaunchRefused("roles", 400)
    if claims.message_type == RESOURCE_LINK:
        link = claims.lti("resource_link")
        if not isinstance(link, dict) or not _is_id(link.get("id")):
            raise LaunchRefused("resource_link", 400)
    elif not isinstance(claims.raw.get(DEEP_LINKING_SETTINGS), dict):
        raise LaunchRefused("deep_linking_settings", 400)


def check_masquerade(claims: Claims) -> None:
    """An administrator who acts as another person gets no session of that person.

    :raise LaunchRefused: somebody acts as the person
    """
    if custom(claims.raw, MASQUERADE_FIELD) is not None:
        raise LaunchRefused(
            "masquerade", 403, "You act as another person in Canvas. Stop acting as them, then open it again."
        )


def custom(raw: Mapping[str, Any], name: str) -> str | None:
    """A custom field. A variable that Canvas cannot resolve arrives as its own name, so that counts as absent."""
    fields = raw.get(f"{CLAIM}custom")
    value = fields.get(name) if isinstance(fields, dict) else None
    text = value if isinstance(value, str) else str(value) if value else ""
    return text if text.strip() and not text.startswith("$") else None


def clean(text: str) -> str:
    """A text that the database can store."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode().strip()


def _storable(value: Any, levels: int) -> Any:
    """A JSON value that the database can store; what is nested more deeply is null."""
    if isinstance(value, str):
        # spaces around it stay: a platform wants some of these back unchanged
        return value.replace("\0", "").encode("utf-8", "ignore").decode()
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        return None
    if isinstance(value, dict):
        return {clean(name): _storable(inner, levels - 1) for name, inner in value.items()}
    return [_storable(inner, levels - 1) for inner in value]


def _header(token: str) -> Mapping[str, Any]:
    if len(token) > MAX_TOKEN_BYTES or not token.isascii() or token.count(".") != 2:
        raise LaunchRefused("format", 400)
    try:
        part = token.partition(".")[0].encode()
        header = json.loads(base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise LaunchRefused("format", 400) from error
    if not isinstance(header, dict):
        raise LaunchRefused("format", 400)
    return header


def _check_audience(payload: Mapping[str, Any], client_id: str) -> None:
    audience, authorized = payload.get("aud"), payload.get("azp")
    listed = audience if isinstance(audience, list) else [audience]
    if not listed or any(one != client_id for one in listed):
        raise LaunchRefused("audience")
    if (len(listed) > 1 or "azp" in payload) and authorized != client_id:
        raise LaunchRefused("authorized_party")


def _check_times(payload: Mapping[str, Any], now: float) -> None:
    expires, issued = payload.get("exp"), payload.get("iat")
    if not _is_time(expires) or not _is_time(issued):
        raise LaunchRefused("times")
    if now >= expires + MAX_SKEW_SECONDS or issued > now + MAX_SKEW_SECONDS or issued < now - MAX_AGE_SECONDS:
        raise LaunchRefused("times")


def _is_time(value: Any) -> TypeGuard[float]:
    # bool is a kind of int
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _is_id(value: Any) -> TypeGuard[str]:
    """Whether a value is a text that can be an id, and that the database can store."""
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS and clean(value) == value.strip() != ""

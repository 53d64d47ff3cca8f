"""Request bodies: JSON objects read into dataclasses, as strictly as the real server reads them.

Unknown keys are ignored, names match without regard to case, null means absent, a wrong type is ``bad_json``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from tests.standins.auth.errors import ApiError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Body = TypeVar("Body", bound="DataclassInstance")
JSON_NAMES = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}
GO_TYPES = {"str": "string", "str | None": "string", "bool": "bool", "dict[str, Any] | None": "map[string]interface {}"}
PYTHON_TYPES = {"str": str, "str | None": str, "bool": bool, "dict[str, Any] | None": dict}


@dataclass
class SignupParams:
    """POST /signup"""

    email: str = ""
    phone: str = ""
    password: str = ""
    data: dict[str, Any] | None = None
    channel: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""


@dataclass
class PasswordGrantParams:
    """POST /token?grant_type=password"""

    email: str = ""
    phone: str = ""
    password: str = ""


@dataclass
class RefreshTokenGrantParams:
    """POST /token?grant_type=refresh_token"""

    refresh_token: str = ""


@dataclass
class PKCEGrantParams:
    """POST /token?grant_type=pkce"""

    auth_code: str = ""
    code_verifier: str = ""


@dataclass
class UserUpdateParams:
    """PUT /user"""

    email: str = ""
    password: str | None = None
    nonce: str = ""
    data: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None
    phone: str = ""
    channel: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""


@dataclass
class OtpParams:
    """POST /otp and POST /magiclink"""

    email: str = ""
    phone: str = ""
    create_user: bool = True
    data: dict[str, Any] | None = None
    channel: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""


@dataclass
class RecoverParams:
    """POST /recover"""

    email: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""


@dataclass
class ResendConfirmationParams:
    """POST /resend"""

    type: str = ""
    email: str = ""
    phone: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""


@dataclass
class VerifyParams:
    """GET and POST /verify"""

    type: str = ""
    token: str = ""
    token_hash: str = ""
    email: str = ""
    phone: str = ""
    redirect_to: str = ""


@dataclass
class InviteParams:
    """POST /invite"""

    email: str = ""
    data: dict[str, Any] | None = None


@dataclass
class GenerateLinkParams:
    """POST /admin/generate_link"""

    type: str = ""
    email: str = ""
    new_email: str = ""
    password: str = ""
    data: dict[str, Any] | None = None
    redirect_to: str = ""


@dataclass
class AdminUserParams:
    """POST and PUT /admin/users"""

    id: str = ""
    aud: str = ""
    role: str = ""
    email: str = ""
    phone: str = ""
    password: str | None = None
    password_hash: str = ""
    email_confirm: bool = False
    phone_confirm: bool = False
    user_metadata: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None
    ban_duration: str = ""


@dataclass
class AdminUserDeleteParams:
    """DELETE /admin/users/<id>"""

    should_soft_delete: bool = False


def read(body: bytes, kind: type[Body]) -> Body:
    """Reads a body into ``kind``.

    :raise ApiError: 400 ``bad_json``
    """
    document = _load(body)
    if document is None:
        return kind()
    if not isinstance(document, dict):
        raise _bad(f"json: cannot unmarshal {JSON_NAMES[type(document)]} into Go value of type api.{kind.__name__}")
    by_name = {field.name: str(field.type) for field in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in document.items():
        name = key if key in by_name else key.lower()
        if name not in by_name or value is None:
            continue
        declared = by_name[name]
        if type(value) is not PYTHON_TYPES[declared]:
            where = f"Go struct field {kind.__name__}.{name} of type {GO_TYPES[declared]}"
            raise _bad(f"json: cannot unmarshal {JSON_NAMES[type(value)]} into {where}")
        values[name] = value
    return kind(**values)


def _load(body: bytes) -> Any:
    text = body.decode("utf-8", "replace")
    try:
        return _clean(json.loads(text, parse_constant=_no_constant, parse_float=_number))
    except json.JSONDecodeError as error:
        rest = text[error.pos :].strip()
        if not rest or error.msg.startswith("Unterminated string"):
            raise _bad("unexpected end of JSON input") from None
        raise _bad(f"invalid character {rest[0]!r} looking for beginning of value") from None
    except ValueError as error:
        raise _bad(str(error)) from None
    except RecursionError:
        raise _bad("exceeded max depth") from None


def _clean(value: Any) -> Any:
    """Replaces lone surrogates, which neither JSON output nor the database can carry."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return number


def _bad(reason: str) -> ApiError:
    return ApiError(400, "bad_json", f"Could not parse request body as JSON: {reason}")

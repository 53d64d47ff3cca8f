"""Settings, read from the environment variables of the real server. Durations are in seconds."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
MAX_DURATION_SECONDS = 100 * 365 * 86400
Value = TypeVar("Value")


class BadSetting(ValueError):
    """A setting is missing or cannot be read; the message names it."""


class Config:
    """What the operator chose. Defaults are the real server's; the reuse interval's is the hosted platform's.

    :raise BadSetting: a setting is missing or malformed
    """

    def __init__(self) -> None:
        self.database_url = _text("DATABASE_URL")
        self.host = _text("GOTRUE_API_HOST", "127.0.0.1")
        self.port = _parsed("GOTRUE_API_PORT", "8081", int)
        self.site_url = _text("GOTRUE_SITE_URL")
        self.external_url = _text("API_EXTERNAL_URL")
        self.redirect_allow_list = _words("GOTRUE_URI_ALLOW_LIST")
        self.signing_key = _signing_key("GOTRUE_JWT_KEYS")
        self.jwt_exp = _parsed("GOTRUE_JWT_EXP", "3600", int)
        self.jwt_aud = _text("GOTRUE_JWT_AUD", "authenticated")
        self.jwt_issuer = _text("GOTRUE_JWT_ISSUER", self.external_url)
        self.admin_roles = _words("GOTRUE_JWT_ADMIN_ROLES", "service_role,supabase_admin")
        self.anonymous_enabled = _flag("GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED")
        self.signup_disabled = _flag("GOTRUE_DISABLE_SIGNUP")
        self.autoconfirm = _flag("GOTRUE_MAILER_AUTOCONFIRM")
        self.secure_email_change = _flag("GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED", "true")
        self.otp_exp = _parsed("GOTRUE_MAILER_OTP_EXP", "86400", int)
        self.mail_max_frequency = _parsed("GOTRUE_SMTP_MAX_FREQUENCY", "1m", parse_duration)
        self.password_min_length = _parsed("GOTRUE_PASSWORD_MIN_LENGTH", "6", int)
        # the real server has no such setting; tests sign up thousands of people
        self.bcrypt_rounds = _parsed("STANDIN_BCRYPT_ROUNDS", "10", int)
        self.reuse_interval = _parsed("GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL", "10", int)
        is_hooked = _flag("GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_ENABLED")
        self.hook_uri = _text("GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_URI") if is_hooked else ""
        self.hook_function = _hook_function(self.hook_uri)
        self.smtp_host = os.environ.get("GOTRUE_SMTP_HOST", "")
        self.smtp_port = _parsed("GOTRUE_SMTP_PORT", "587", int)
        self.smtp_sender = _text("GOTRUE_SMTP_ADMIN_EMAIL", "auth@localhost")


@cache
def config() -> Config:
    """The settings, read once.

    :raise BadSetting: one is missing or malformed
    """
    return Config()


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``24h`` or ``1m30s``.

    :raise ValueError: it is none, or longer than a hundred years
    """
    parts = DURATION.findall(text)
    seconds = sum(float(number) * UNIT_SECONDS[unit] for number, unit in parts)
    if not parts or "".join(number + unit for number, unit in parts) != text or seconds > MAX_DURATION_SECONDS:
        raise ValueError(f'time: invalid duration "{text}"')
    return seconds


def _text(name: str, default: str | None = None) -> str:
    value = os.environ.get(name) or default
    if value is None:
        raise BadSetting(f"{name} is missing")
    return value


def _flag(name: str, default: str = "false") -> bool:
    value = _text(name, default).lower()
    if value not in ("true", "false", "1", "0"):
        raise BadSetting(f"{name} must be true or false")
    return value in ("true", "1")


def _parsed(name: str, default: str, kind: Callable[[str], Value]) -> Value:
    try:
        return kind(_text(name, default))
    except ValueError as error:
        raise BadSetting(f"{name}: {error}") from None


def _words(name: str, default: str = "") -> tuple[str, ...]:
    return tuple(part.strip() for part in _text(name, default).split(",") if part.strip())


def _signing_key(name: str) -> dict[str, Any]:
    """The private ES256 key that signs. The real server takes several keys and kinds; the stack gives it one."""
    try:
        return next(key for key in json.loads(_text(name)) if key["kty"] == "EC" and "sign" in key["key_ops"])
    except (ValueError, TypeError, KeyError, StopIteration):
        raise BadSetting(f"{name} must be a JSON list with a private ES256 key") from None


def _hook_function(uri: str) -> tuple[str, ...]:
    """Schema and function that ``pg-functions://postgres/<schema>/<function>`` names; empty without a hook."""
    names = tuple(urlsplit(uri).path.strip("/").split("/"))
    if uri and (not uri.startswith("pg-functions://") or len(names) != 2 or not all(names)):
        raise BadSetting("GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_URI must be pg-functions://postgres/<schema>/<function>")
    return names if uri else ()

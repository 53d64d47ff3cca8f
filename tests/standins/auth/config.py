"""Settings, read from the environment variables of the real server."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.standins.auth.formats import parse_duration


class BadSetting(ValueError):
    """A setting is missing or cannot be read; the message names it."""


@dataclass(frozen=True)
class Config:
    """What the operator chose; the defaults are the real server's. Durations are in seconds."""

    database_url: str
    host: str
    port: int
    site_url: str
    external_url: str
    redirect_allow_list: tuple[str, ...]
    jwt_secret: str
    jwt_keys: tuple[dict[str, Any], ...]
    jwt_exp: int
    jwt_aud: str
    jwt_issuer: str
    jwt_default_role: str
    jwt_admin_roles: frozenset[str]
    email_enabled: bool
    anonymous_enabled: bool
    signup_disabled: bool
    autoconfirm: bool
    secure_email_change: bool
    otp_length: int
    otp_exp: float
    mail_max_frequency: float
    password_min_length: int
    password_required_characters: tuple[str, ...]
    reuse_interval: int
    rotation_enabled: bool
    reauthentication_for_password: bool
    session_timebox: float
    session_inactivity: float
    hook_uri: str | None
    hook_function: tuple[str, ...] | None
    url_paths: Mapping[str, str]


def load_config(environment: Mapping[str, str] | None = None) -> Config:
    """Reads the settings.

    :raise BadSetting: one is missing or malformed
    """
    env = os.environ if environment is None else environment

    def text(name: str, default: str | None = None) -> str:
        value = env.get(name) or default
        if value is None:
            raise BadSetting(f"{name} is missing")
        return value

    def flag(name: str, default: bool) -> bool:
        value = text(name, str(default)).lower()
        if value not in ("true", "false", "1", "0", "t", "f"):
            raise BadSetting(f"{name} must be true or false")
        return value in ("true", "1", "t")

    def number(name: str, default: int) -> int:
        try:
            return int(text(name, str(default)))
        except ValueError:
            raise BadSetting(f"{name} must be a whole number") from None

    def duration(name: str, default: str) -> float:
        try:
            return parse_duration(text(name, default))
        except ValueError as error:
            raise BadSetting(f"{name}: {error}") from None

    def words(name: str, default: str = "") -> tuple[str, ...]:
        return tuple(part.strip() for part in (env.get(name) or default).split(",") if part.strip())

    try:
        keys = tuple(json.loads(env.get("GOTRUE_JWT_KEYS") or "[]"))
    except ValueError:
        raise BadSetting("GOTRUE_JWT_KEYS must be a JSON list of keys") from None

    hook_uri = None
    if flag("GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_ENABLED", False):
        hook_uri = text("GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_URI")
    external_url = text("API_EXTERNAL_URL")
    verify_path = {
        kind: text(f"GOTRUE_MAILER_URLPATHS_{kind.upper()}", "/verify")
        for kind in ("invite", "confirmation", "recovery", "email_change")
    }
    return Config(
        database_url=env.get("DATABASE_URL") or text("GOTRUE_DB_DATABASE_URL"),
        host=text("GOTRUE_API_HOST", "127.0.0.1"),
        port=number("GOTRUE_API_PORT", number("PORT", 8081)),
        site_url=text("GOTRUE_SITE_URL"),
        external_url=external_url,
        redirect_allow_list=words("GOTRUE_URI_ALLOW_LIST"),
        jwt_secret=text("GOTRUE_JWT_SECRET"),
        jwt_keys=keys,
        jwt_exp=number("GOTRUE_JWT_EXP", 3600),
        jwt_aud=text("GOTRUE_JWT_AUD", "authenticated"),
        jwt_issuer=text("GOTRUE_JWT_ISSUER", external_url),
        jwt_default_role=text("GOTRUE_JWT_DEFAULT_GROUP_NAME", "authenticated"),
        jwt_admin_roles=frozenset(words("GOTRUE_JWT_ADMIN_ROLES", "service_role,supabase_admin")),
        email_enabled=flag("GOTRUE_EXTERNAL_EMAIL_ENABLED", True),
        anonymous_enabled=flag("GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED", False),
        signup_disabled=flag("GOTRUE_DISABLE_SIGNUP", False),
        autoconfirm=flag("GOTRUE_MAILER_AUTOCONFIRM", False),
        secure_email_change=flag("GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED", True),
        otp_length=min(max(number("GOTRUE_MAILER_OTP_LENGTH", 6), 6), 10),
        otp_exp=number("GOTRUE_MAILER_OTP_EXP", 86400),
        mail_max_frequency=duration("GOTRUE_SMTP_MAX_FREQUENCY", "1m"),
        password_min_length=max(number("GOTRUE_PASSWORD_MIN_LENGTH", 6), 6),
        password_required_characters=tuple(
            part for part in (env.get("GOTRUE_PASSWORD_REQUIRED_CHARACTERS") or "").split(":") if part
        ),
        reuse_interval=number("GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL", 10),
        rotation_enabled=flag("GOTRUE_SECURITY_REFRESH_TOKEN_ROTATION_ENABLED", True),
        reauthentication_for_password=flag("GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_REAUTHENTICATION", False),
        session_timebox=duration("GOTRUE_SESSIONS_TIMEBOX", "0"),
        session_inactivity=duration("GOTRUE_SESSIONS_INACTIVITY_TIMEOUT", "0"),
        hook_uri=hook_uri,
        hook_function=_hook_function(hook_uri),
        url_paths=verify_path,
    )


def _hook_function(uri: str | None) -> tuple[str, ...] | None:
    """Schema and function that ``pg-functions://postgres/<schema>/<function>`` names."""
    if uri is None:
        return None
    parts = urlsplit(uri)
    names = tuple(unquote(part) for part in parts.path.strip("/").split("/"))
    if parts.scheme != "pg-functions" or len(names) != 2 or not all(names):
        raise BadSetting("GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_URI must be pg-functions://postgres/<schema>/<function>")
    return names

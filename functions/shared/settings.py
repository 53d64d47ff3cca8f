"""The settings of functions and worker. They are read once, checked completely, and never change.

docs/environment.md explains every variable. A test compares the page with this file.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

from functions.shared.llm.prices import PriceTable, read_prices

T = TypeVar("T")

DOTENV = Path(__file__).parents[2] / ".env"
APP_ENVS = ("local", "test", "production")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
KEY_BYTES = 32
# a wildcard stands for the subdomains of a domain, never for a whole top level
HOST_PATTERN = re.compile(
    r"(?:\*\.[a-z0-9-]+\.[a-z0-9.-]*[a-z0-9]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)
MAX_CATALOG_TERMS = 20
MAX_TERM_CHARACTERS = 100


class SettingError(Exception):
    """A setting keeps the service from starting. The message names it and never shows its value."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem} (see docs/environment.md)")
        self.name = name


class MissingSetting(SettingError):
    """A required variable is not set."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "is not set")


class InvalidSetting(SettingError):
    """A variable is set to something that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One attribute for each variable, in lower case. Times are in seconds."""

    app_env: str
    supabase_url: str
    supabase_publishable_key: str
    supabase_secret_key: str = field(repr=False)
    supabase_jwks_url: str
    jwt_issuer: str
    functions_url: str
    frontend_url: str
    redirect_allowlist: tuple[str, ...]
    cors_origins: tuple[str, ...]
    encryption_keys: Mapping[int, bytes] = field(repr=False)
    openai_base_url: str | None
    openai_api_key: str | None = field(repr=False)
    openai_model: str
    openai_transcription_model: str | None
    openai_speech_model: str | None
    openai_embedding_model: str | None
    openai_embedding_dimensions: int | None
    model_connect_timeout_seconds: float
    model_read_timeout_seconds: float
    model_deadline_seconds: float
    model_prices: PriceTable
    leak_second_opinion: bool
    job_lease_seconds: int
    worker_poll_seconds: float
    model_context_tokens: int
    worker_concurrency: int
    worker_answer_concurrency: int
    worker_wake_url: tuple[str, ...]
    worker_grace_seconds: float
    canvas_give_up_seconds: float
    canvas_background_sync: bool
    canvas_background_sync_seconds: int
    panopto_hosts: tuple[str, ...]
    panopto_captions: bool
    lecture_max_bytes: int
    lecture_max_seconds: int
    lecture_download_timeout_seconds: float
    transcription_piece_seconds: float
    github_api_url: str
    github_token: str | None = field(repr=False)
    catalog_url: str | None
    catalog_terms: tuple[str, ...]
    weeks_archive_after_days: int
    rate_limits: bool
    trusted_proxies: int
    metrics_token: str | None = field(repr=False)
    log_level: str
    port: int
    web_concurrency: int
    web_threads: int
    web_streams: int

    @property
    def is_local(self) -> bool:
        """Whether loopback hosts may be front ends and, over plain http, Canvas or LTI platforms."""
        return self.app_env == "local"


class _Reader:
    """Reads variables from a mapping. A blank value counts as not set."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.is_production = False

    def optional(self, name: str) -> str | None:
        value = self._env.get(name, "").strip()
        return value or None

    def text(self, name: str, default: str | None = None) -> str:
        value = self.optional(name) or default
        if value is None:
            raise MissingSetting(name)
        if any(ord(character) < 33 or ord(character) == 127 for character in value):
            raise InvalidSetting(name, "must not contain spaces or control characters")
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.optional(name) or default
        if value not in allowed:
            raise InvalidSetting(name, f"must be one of {', '.join(allowed)}")
        return value

    def url(self, name: str, default: str | None = None) -> str:
        return self._checked_url(name, self.text(name, default)).rstrip("/")

    def urls(self, name: str, default: str, check: Callable[[str, str], str] | None = None) -> tuple[str, ...]:
        parts = [part.strip() for part in (self.optional(name) or default).split(",")]
        return tuple((check or self._checked_url)(name, part) for part in parts if part)

    def template(self, name: str, mark: str) -> str | None:
        """An optional URL with a mark in it that is replaced later."""
        if self.optional(name) is None:
            return None
        value = self.url(name)
        if mark not in value:
            raise InvalidSetting(name, f"must have {mark} in it")
        return value

    def terms(self, name: str) -> tuple[str, ...]:
        """Names of terms between semicolons, each once."""
        terms = tuple(dict.fromkeys(term.strip() for term in (self.optional(name) or "").split(";") if term.strip()))
        if len(terms) > MAX_CATALOG_TERMS or any(len(term) > MAX_TERM_CHARACTERS for term in terms):
            raise InvalidSetting(
                name, f"must hold at most {MAX_CATALOG_TERMS} terms of {MAX_TERM_CHARACTERS} characters"
            )
        return terms

    def _checked_url(self, name: str, value: str) -> str:
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidSetting(name, "is not a valid URL") from error
        if parts.scheme not in ("http", "https") or not host or parts.username or parts.password or parts.fragment:
            raise InvalidSetting(name, "must be an http(s) URL without credentials and fragment")
        if self.is_production and (parts.scheme != "https" or is_loopback(host)):
            raise InvalidSetting(name, "must be an https URL of a public host when APP_ENV is production")
        return value

    def origin(self, name: str, value: str) -> str:
        parts = urlsplit(self._checked_url(name, value))
        if parts.path not in ("", "/") or parts.query:
            raise InvalidSetting(name, "must list origins: scheme, host and port alone")
        return f"{parts.scheme}://{parts.netloc}".lower()

    def inner_urls(self, name: str) -> tuple[str, ...]:
        """Addresses within the installation, comma separated: in production, too, they may be http and loopback."""
        parts = [part.strip() for part in (self.optional(name) or "").split(",")]
        for part in filter(None, parts):
            if urlsplit(part).scheme not in ("http", "https") or not urlsplit(part).hostname:
                raise InvalidSetting(name, "must list http(s) URLs")
        return tuple(filter(None, parts))

    def hosts(self, name: str) -> tuple[str, ...]:
        """Hosts with or without a port, comma separated; ``*.`` in front stands for all subdomains."""
        hosts = tuple(part.strip().lower() for part in (self.optional(name) or "").split(",") if part.strip())
        for host in hosts:
            if not HOST_PATTERN.fullmatch(host):
                raise InvalidSetting(name, "must list hosts, with a port where they have one, or *.domain")
        return hosts

    def number(self, name: str, kind: Callable[[str], T], default: T, least: float, most: float) -> T:
        value = self.optional(name)
        if value is None:
            return default
        try:
            number = kind(value)
            within = least <= float(number) <= most  # type: ignore[arg-type]
        except ValueError as error:
            raise InvalidSetting(name, "is not a number") from error
        if not within:
            raise InvalidSetting(name, f"must lie between {least:g} and {most:g}")
        return number

    def switch(self, name: str, default: bool) -> bool:
        return self.choice(name, ("on", "off"), "on" if default else "off") == "on"

    def keys(self, name: str) -> Mapping[int, bytes]:
        """``<number>:<base64url of 32 bytes>``, comma separated. The highest number encrypts, all of them decrypt."""
        keys: dict[int, bytes] = {}
        for part in self.text(name).split(","):
            number, _, encoded = part.partition(":")
            if not (number.isascii() and number.isdigit()) or int(number) in keys:
                raise InvalidSetting(name, "must number each key once: 1:<key>,2:<key>")
            try:
                key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
            except (binascii.Error, ValueError) as error:
                raise InvalidSetting(name, "holds a key that is not base64url") from error
            if len(key) != KEY_BYTES:
                raise InvalidSetting(name, f"holds a key that is not {KEY_BYTES} bytes long")
            keys[int(number)] = key
        return MappingProxyType(keys)

    def prices(self, name: str) -> PriceTable:
        """What models cost, see ``llm/prices.py``."""
        try:
            return read_prices(json.loads(self.optional(name) or "{}", parse_float=Decimal))
        except json.JSONDecodeError as error:
            raise InvalidSetting(name, "is not a JSON object of prices") from error
        except (ValueError, RecursionError) as error:
            raise InvalidSetting(name, str(error)) from error


def is_loopback(host: str) -> bool:
    """Whether a host name or address literal means this machine."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _variables() -> dict[str, str]:
    return {name: value for name, value in dotenv_values(DOTENV).items() if value is not None} | dict(os.environ)


def load_encryption_keys() -> Mapping[int, bytes]:
    """ENCRYPTION_KEYS alone, for a command that needs no other setting.

    :raise MissingSetting: it is not set
    :raise InvalidSetting: it cannot be used
    """
    return _Reader(_variables()).keys("ENCRYPTION_KEYS")


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Reads and checks all settings.

    :param env: the variables; by default ``.env``, overridden by the process environment
    :raise MissingSetting: a required variable is not set
    :raise InvalidSetting: a variable cannot be used
    """
    read = _Reader(_variables() if env is None else env)
    # production is the default because its rules are the strictest
    app_env = read.choice("APP_ENV", APP_ENVS, "production")
    read.is_production = app_env == "production"
    supabase_url = read.url("SUPABASE_URL")
    frontend_url = read.url("FRONTEND_URL", None if read.is_production else "http://127.0.0.1:3000")
    frontend = urlsplit(frontend_url)
    api_key, base_url = read.optional("OPENAI_API_KEY"), read.optional("OPENAI_BASE_URL")
    return Settings(
        app_env=app_env,
        supabase_url=supabase_url,
        supabase_publishable_key=read.text("SUPABASE_PUBLISHABLE_KEY"),
        supabase_secret_key=read.text("SUPABASE_SECRET_KEY"),
        supabase_jwks_url=read.url("SUPABASE_JWKS_URL", f"{supabase_url}/auth/v1/.well-known/jwks.json"),
        jwt_issuer=read.text("JWT_ISSUER", f"{supabase_url}/auth/v1"),
        functions_url=read.url("FUNCTIONS_URL", f"{supabase_url}/functions/v1"),
        frontend_url=frontend_url,
        redirect_allowlist=read.urls("REDIRECT_ALLOWLIST", frontend_url),
        cors_origins=read.urls("CORS_ORIGINS", f"{frontend.scheme}://{frontend.netloc}", read.origin),
        encryption_keys=read.keys("ENCRYPTION_KEYS"),
        openai_base_url=None if base_url is None else read.url("OPENAI_BASE_URL"),
        openai_api_key=api_key,
        openai_model=read.text("OPENAI_MODEL", None if read.is_production and (api_key or base_url) else "default"),
        openai_transcription_model=read.optional("OPENAI_TRANSCRIPTION_MODEL"),
        openai_speech_model=read.optional("OPENAI_SPEECH_MODEL"),
        openai_embedding_model=read.optional("OPENAI_EMBEDDING_MODEL"),
        openai_embedding_dimensions=read.number("OPENAI_EMBEDDING_DIMENSIONS", int, None, 1, 16_000),
        model_connect_timeout_seconds=read.number("MODEL_CONNECT_TIMEOUT_SECONDS", float, 5.0, 0.05, 60),
        model_read_timeout_seconds=read.number("MODEL_READ_TIMEOUT_SECONDS", float, 60.0, 0.05, 600),
        model_deadline_seconds=read.number("MODEL_DEADLINE_SECONDS", float, 120.0, 0.1, 1800),
        model_prices=read.prices("MODEL_PRICES"),
        leak_second_opinion=read.switch("LEAK_SECOND_OPINION", False),
        job_lease_seconds=read.number("JOB_LEASE_SECONDS", int, 60, 1, 3600),
        worker_poll_seconds=read.number("WORKER_POLL_SECONDS", float, 5.0, 0.01, 60),
        model_context_tokens=read.number("MODEL_CONTEXT_TOKENS", int, 32_000, 2_000, 2_000_000),
        worker_concurrency=read.number("WORKER_CONCURRENCY", int, 8, 1, 64),
        worker_answer_concurrency=read.number("WORKER_ANSWER_CONCURRENCY", int, 64, 1, 1000),
        worker_wake_url=read.inner_urls("WORKER_WAKE_URL"),
        worker_grace_seconds=read.number("WORKER_GRACE_SECONDS", float, 20.0, 0, 600),
        canvas_give_up_seconds=read.number("CANVAS_GIVE_UP_SECONDS", float, 10.0, 0.1, 600),
        canvas_background_sync=read.switch("CANVAS_BACKGROUND_SYNC", True),
        canvas_background_sync_seconds=read.number("CANVAS_BACKGROUND_SYNC_SECONDS", int, 21_600, 900, 604_800),
        panopto_hosts=read.hosts("PANOPTO_HOSTS"),
        panopto_captions=read.switch("PANOPTO_CAPTIONS", True),
        lecture_max_bytes=read.number("LECTURE_MAX_BYTES", int, 2 * 1024**3, 1, 64 * 1024**3),
        lecture_max_seconds=read.number("LECTURE_MAX_SECONDS", int, 3 * 3600, 1, 24 * 3600),
        lecture_download_timeout_seconds=read.number("LECTURE_DOWNLOAD_TIMEOUT_SECONDS", float, 1800.0, 0.1, 7200),
        transcription_piece_seconds=read.number("TRANSCRIPTION_PIECE_SECONDS", float, 600.0, 5, 3600),
        github_api_url=read.url("GITHUB_API_URL", "https://api.github.com"),
        github_token=read.optional("GITHUB_TOKEN"),
        catalog_url=read.template("CATALOG_URL", "{term}"),
        catalog_terms=read.terms("CATALOG_TERMS"),
        weeks_archive_after_days=read.number("WEEKS_ARCHIVE_AFTER_DAYS", int, 730, 1, 36500),
        rate_limits=read.switch("RATE_LIMITS", True),
        trusted_proxies=read.number("TRUSTED_PROXIES", int, 1, 0, 10),
        metrics_token=read.optional("METRICS_TOKEN"),
        log_level=read.choice("LOG_LEVEL", LOG_LEVELS, "INFO"),
        port=read.number("PORT", int, 8000, 1, 65535),
        web_concurrency=read.number("WEB_CONCURRENCY", int, 2, 1, 64),
        web_threads=read.number("WEB_THREADS", int, 64, 1, 1000),
        web_streams=read.number("WEB_STREAMS", int, 50, 1, 1000),
    )

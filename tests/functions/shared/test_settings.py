"""Settings are read once, and whatever is wrong with them is said by name and without their value."""

from __future__ import annotations

import base64
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from functions.shared.llm.usage import Used
from functions.shared.settings import InvalidSetting, MissingSetting, SettingError, load_settings
from tests.support.processes import bare_environment

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
LOCAL = {
    "APP_ENV": "local",
    "SUPABASE_URL": "http://127.0.0.1:54321",
    "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x",
    "SUPABASE_SECRET_KEY": "sb_secret_hush",
    "ENCRYPTION_KEYS": f"1:{KEY}",
}
PRODUCTION = LOCAL | {
    "APP_ENV": "production",
    "SUPABASE_URL": "https://abc.supabase.co",
    "FRONTEND_URL": "https://app.example.edu",
}


def test_the_rest_follows_from_a_few_variables() -> None:
    settings = load_settings(PRODUCTION)
    assert settings.supabase_jwks_url == "https://abc.supabase.co/auth/v1/.well-known/jwks.json"
    assert settings.jwt_issuer == "https://abc.supabase.co/auth/v1"
    assert settings.functions_url == "https://abc.supabase.co/functions/v1"
    assert settings.cors_origins == ("https://app.example.edu",)
    assert settings.redirect_allowlist == ("https://app.example.edu",)
    assert settings.rate_limits
    assert settings.encryption_keys == {1: bytes(range(32))}


@pytest.mark.parametrize(
    "name", ["SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY", "ENCRYPTION_KEYS", "FRONTEND_URL"]
)
@pytest.mark.parametrize("value", [None, "", "   "])
def test_a_missing_setting_is_named(name: str, value: str | None) -> None:
    env = {key: text for key, text in PRODUCTION.items() if key != name}
    if value is not None:
        env[name] = value
    with pytest.raises(MissingSetting) as caught:
        load_settings(env)
    assert caught.value.name == name
    assert name in str(caught.value)


def test_a_model_server_in_production_needs_a_model_name() -> None:
    with pytest.raises(MissingSetting) as caught:
        load_settings(PRODUCTION | {"OPENAI_API_KEY": "sk-something"})
    assert caught.value.name == "OPENAI_MODEL"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_ENV", "staging"),
        ("SUPABASE_URL", "abc.supabase.co"),
        ("SUPABASE_URL", "ftp://abc.supabase.co"),
        ("SUPABASE_URL", "https://"),
        ("SUPABASE_URL", "https://user:hush@abc.supabase.co"),
        ("SUPABASE_URL", "https://[::1"),
        ("SUPABASE_URL", "https://abc.supabase.co:99999999"),
        ("SUPABASE_URL", "https://abc .supabase.co"),
        ("SUPABASE_SECRET_KEY", "hush\nhush"),
        ("CORS_ORIGINS", "https://app.example.edu/path"),
        ("CORS_ORIGINS", "*"),
        ("REDIRECT_ALLOWLIST", "javascript:alert(1)"),
        ("ENCRYPTION_KEYS", "hush"),
        ("ENCRYPTION_KEYS", "1:hush"),
        ("ENCRYPTION_KEYS", f"1:{KEY},1:{KEY}"),
        ("ENCRYPTION_KEYS", f"-1:{KEY}"),
        ("ENCRYPTION_KEYS", f"1:{KEY[:20]}"),
        ("OPENAI_BASE_URL", "models"),
        ("MODEL_DEADLINE_SECONDS", "soon"),
        ("MODEL_DEADLINE_SECONDS", "nan"),
        ("MODEL_DEADLINE_SECONDS", "-1"),
        ("MODEL_DEADLINE_SECONDS", "inf"),
        ("JOB_LEASE_SECONDS", "1.5"),
        ("JOB_LEASE_SECONDS", "0"),
        ("MODEL_PRICES", "[]"),
        ("MODEL_PRICES", "{"),
        ("MODEL_PRICES", '{"m": {"input": "cheap"}}'),
        ("MODEL_PRICES", '{"m": {"input": -1}}'),
        ("MODEL_PRICES", '{"m": {"inputs": 1}}'),
        ("MODEL_PRICES", '{"m": {"input": NaN}}'),
        ("MODEL_PRICES", '{"m": []}'),
        ("MODEL_PRICES", '{"m": {"input": 1e999999999}}'),
        ("MODEL_PRICES", '{"m": {"input": 1e-999999999}}'),
        ("MODEL_PRICES", '{"m": {"input": true}}'),
        ("MODEL_PRICES", '{"m": {"input": 1, "from": "soon"}}'),
        ("MODEL_PRICES", '{"m": {"input": 1, "until": 2026}}'),
        ("MODEL_PRICES", '{"m": {"input": 1, "tiers": {}}}'),
        ("MODEL_PRICES", '{"m": {"input": 1, "tiers": [{"input": 2}]}}'),
        ("MODEL_PRICES", '{"m": {"input": 1, "tiers": [{"above": 1e999999999, "input": 2}]}}'),
        ("RATE_LIMITS", "yes"),
        ("LOG_LEVEL", "loud"),
        ("PORT", "0"),
    ],
)
def test_an_unusable_setting_is_named_and_never_shown(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load_settings(LOCAL | {name: value})
    assert caught.value.name == name
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["SUPABASE_URL", "FRONTEND_URL", "OPENAI_BASE_URL", "REDIRECT_ALLOWLIST", "CORS_ORIGINS"]
)
@pytest.mark.parametrize("value", ["http://app.example.edu", "https://localhost", "https://127.0.0.1", "https://[::1]"])
def test_production_takes_only_https_and_public_hosts(name: str, value: str) -> None:
    env = PRODUCTION | {"OPENAI_MODEL": "some-model"}
    with pytest.raises(InvalidSetting) as caught:
        load_settings(env | {name: value})
    assert caught.value.name == name


def test_without_app_env_the_rules_of_production_hold() -> None:
    with pytest.raises(InvalidSetting):
        load_settings({name: value for name, value in LOCAL.items() if name != "APP_ENV"})


def test_prices_are_exact_decimals() -> None:
    settings = load_settings(LOCAL | {"MODEL_PRICES": '{"m": {"input": 0.1, "cached_input": "0.01", "output": 4}}'})
    used = Used(prompt_tokens=3, cached_tokens=1, completion_tokens=7)
    cost = settings.model_prices.cost("m", used, datetime(2026, 1, 1, tzinfo=UTC))
    assert cost == (2 * Decimal("0.1") + Decimal("0.01") + 28) / 1_000_000


def test_settings_neither_change_nor_show_their_secrets() -> None:
    settings = load_settings(LOCAL | {"OPENAI_API_KEY": "sk-hush", "METRICS_TOKEN": "hush"})
    with pytest.raises(AttributeError):
        settings.port = 1  # type: ignore[misc]
    assert "hush" not in repr(settings)
    assert repr(bytes(range(32))) not in repr(settings)


# a busy machine draws slowly, which says nothing of the settings
@effort(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*PRODUCTION, "MODEL_PRICES", "CORS_ORIGINS", "PORT"]), st.text(max_size=60)))
def test_whatever_stands_there_either_works_or_is_named(env: dict[str, str]) -> None:
    with suppress(SettingError):
        assert load_settings(LOCAL | env).supabase_url.startswith("http")


def test_importing_needs_no_environment_and_no_network() -> None:
    """Every module of functions is imported without settings and with sockets taken away."""
    modules = [
        ".".join(file.relative_to(Path(__file__).parents[3]).with_suffix("").parts).removesuffix(".__init__")
        for file in (Path(__file__).parents[3] / "functions").rglob("*.py")
        if file.name not in ("gunicorn.conf.py", "__main__.py")
    ]
    script = (
        "import socket, importlib\n"
        "def refuse(*a, **k): raise AssertionError('a socket at import')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        f"for name in {sorted(modules)!r}: importlib.import_module(name)\n"
    )
    command, environment = [sys.executable, "-c", script], bare_environment()
    done = subprocess.run(command, cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_catalogue_is_a_template_and_its_terms_have_names(env: dict[str, str]) -> None:
    url = "https://courses.example.edu/list?term={term}&type=Lecture"
    found = load_settings(env | {"CATALOG_URL": url, "CATALOG_TERMS": " Fall 2026; Spring 2027;; Fall 2026 ;"})
    assert (found.catalog_url, found.catalog_terms) == (url, ("Fall 2026", "Spring 2027"))
    nothing = load_settings(env)
    assert (nothing.catalog_url, nothing.catalog_terms) == (None, ())
    for bad in (
        "https://courses.example.edu/list",
        "file:///list/{term}",
        "https://me:secret@courses.example.edu/{term}",
    ):
        with pytest.raises(InvalidSetting, match="CATALOG_URL"):
            load_settings(env | {"CATALOG_URL": bad})
    for bad in ("x" * 101, ";".join(map(str, range(21)))):
        with pytest.raises(InvalidSetting, match="CATALOG_TERMS"):
            load_settings(env | {"CATALOG_TERMS": bad})

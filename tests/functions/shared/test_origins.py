"""Front ends: exact origins and listed addresses in production; on a developer's machine every loopback address too."""

from __future__ import annotations

import pytest

from functions.shared.origins import is_allowed_origin, is_allowed_redirect
from functions.shared.settings import Settings, load_settings
from tests.functions.shared.test_settings import LOCAL, PRODUCTION

LISTED = {
    "CORS_ORIGINS": "https://app.example.edu,https://beta.example.edu:8443",
    "REDIRECT_ALLOWLIST": "https://app.example.edu,https://beta.example.edu/school/",
}
LOOPBACK_ORIGINS = [
    "http://localhost:3000",
    "http://localhost:5173",
    "http://localhost",
    "https://localhost:8443",
    "http://127.0.0.1:4321",
    "http://[::1]:5173",
]
FOREIGN_ORIGINS = [
    "https://evil.example",
    "http://app.example.edu",
    "https://app.example.edu:444",
    "https://app.example.edu.evil.example",
    "https://beta.example.edu",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example:3000",
    "http://localhost:3000/",
    "http://localhost:3000.evil.example",
    "http://localhost@evil.example",
    "HTTP://LOCALHOST:3000",
    "http://127.0.0.2:3000",
    "http://192.168.0.1:3000",
    "http://[::2]:3000",
    "ftp://localhost",
    "null",
    "*",
    "",
]


@pytest.fixture
def production() -> Settings:
    """The settings of a deployed project."""
    return load_settings(PRODUCTION | LISTED)


@pytest.fixture
def local() -> Settings:
    """The settings of a developer's machine."""
    return load_settings(LOCAL | LISTED)


@pytest.fixture
def test_run() -> Settings:
    """Neither local nor production: the rules of production hold."""
    return load_settings(LOCAL | LISTED | {"APP_ENV": "test"})


def test_listed_origins_are_allowed_everywhere(production: Settings, local: Settings, test_run: Settings) -> None:
    for settings in (production, local, test_run):
        assert is_allowed_origin("https://app.example.edu", settings)
        assert is_allowed_origin("https://beta.example.edu:8443", settings)


@pytest.mark.parametrize("origin", LOOPBACK_ORIGINS)
def test_loopback_origins_are_allowed_on_a_developers_machine_alone(
    production: Settings, local: Settings, test_run: Settings, origin: str
) -> None:
    assert is_allowed_origin(origin, local)
    assert not is_allowed_origin(origin, production)
    assert not is_allowed_origin(origin, test_run)


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_foreign_origins_are_allowed_nowhere(production: Settings, local: Settings, origin: str) -> None:
    assert not is_allowed_origin(origin, production)
    assert not is_allowed_origin(origin, local)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.edu",
        "https://app.example.edu/",
        "https://app.example.edu/settings?tab=canvas",
        "https://beta.example.edu/school",
        "https://beta.example.edu/school/settings",
    ],
)
def test_a_browser_is_sent_below_listed_addresses(production: Settings, local: Settings, url: str) -> None:
    assert is_allowed_redirect(url, production)
    assert is_allowed_redirect(url, local)


@pytest.mark.parametrize("url", ["http://localhost:5173/settings", "http://127.0.0.1:9/x?y=z", "http://[::1]:3000"])
def test_a_browser_is_sent_to_loopback_on_a_developers_machine_alone(
    production: Settings, local: Settings, test_run: Settings, url: str
) -> None:
    assert is_allowed_redirect(url, local)
    assert not is_allowed_redirect(url, production)
    assert not is_allowed_redirect(url, test_run)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example",
        "http://app.example.edu",
        "https://app.example.edu:444/",
        "https://app.example.edu@evil.example/",
        "https://app.example.edu.evil.example/",
        "https://app.example.edu/#x",
        "https://app.example.edu\\@evil.example",
        "https://beta.example.edu",
        "https://beta.example.edu/schools",
        "https://beta.example.edu/school/../x",
        "https://beta.example.edu/school/%2e%2e/x",
        "https://app.example.edu:port/",
        "https://app.example.edu/a\nb",
        "//app.example.edu/",
        "javascript:alert(1)",
        "javascript://localhost/%0aalert(1)",
        "http://user:word@localhost/",
        "http://localhost.evil.example/",
        "http://localhost#x",
        "ftp://localhost/",
        "",
    ],
)
def test_a_browser_is_sent_nowhere_else(production: Settings, local: Settings, url: str) -> None:
    assert not is_allowed_redirect(url, production)
    assert not is_allowed_redirect(url, local)

"""Auth: which server answers, what it is told, and how it gets its tables."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from scripts.native import paths
from scripts.native.keys import Keys
from scripts.native.postgres import PostgresFailed, Server
from scripts.native.programs import SetUpFailed

AUTH_SCHEMA = paths.REPO / "tests" / "standins" / "auth" / "schema.sql"
LOOPBACK_REDIRECTS = "http://127.0.0.1:*,http://127.0.0.1:*/**,http://localhost:*,http://localhost:*/**"


def real_auth() -> Path | None:
    """The real Auth server, where one is at hand: ``SUPABASE_AUTH_BIN``, or ``auth``/``gotrue`` on PATH.

    :raise SetUpFailed: SUPABASE_AUTH_BIN names something that does not answer ``version``
    """
    named = os.environ.get("SUPABASE_AUTH_BIN")
    for candidate in [named] if named else [shutil.which("auth"), shutil.which("gotrue")]:
        if not candidate:
            continue
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            answer = subprocess.run([candidate, "version"], capture_output=True, timeout=10, check=False)
            if answer.returncode == 0:
                return Path(candidate)
        if named:
            raise SetUpFailed(f"SUPABASE_AUTH_BIN={named} does not answer 'version': correct or unset it")
    return None


def tables_of(binary: Path | None) -> str:
    """A mark of the tables that this Auth makes. The real server migrates them itself; the stand-in has a file."""
    if binary is not None:
        return "real"
    return f"stand-in {hashlib.sha256(AUTH_SCHEMA.read_bytes()).hexdigest()[:16]}"


def redirects(chosen: Mapping[str, str]) -> dict[str, str]:
    """Where links in mails may lead, as Auth reads it: any port of this machine, unless somebody chose otherwise.

    :param chosen: variables of the shell and of ``.env``, of which GOTRUE_SITE_URL, FRONTEND_URL and
        GOTRUE_URI_ALLOW_LIST count
    """
    site = chosen.get("GOTRUE_SITE_URL") or chosen.get("FRONTEND_URL") or "http://127.0.0.1:3000"
    return {
        "GOTRUE_SITE_URL": site,
        "GOTRUE_URI_ALLOW_LIST": chosen.get("GOTRUE_URI_ALLOW_LIST") or LOOPBACK_REDIRECTS,
    }


def auth_environment(server: Server, keys: Keys, port: int, origin: str, smtp_port: int) -> dict[str, str]:
    """What Auth is told, the real server and the stand-in alike."""
    return {
        "GOTRUE_DB_DRIVER": "postgres",
        "DATABASE_URL": server.url("supabase_auth_admin"),
        "DB_NAMESPACE": "auth",
        **redirects({}),
        "API_EXTERNAL_URL": f"{origin}/auth/v1",
        "GOTRUE_API_HOST": "127.0.0.1",
        "GOTRUE_API_PORT": str(port),
        "PORT": str(port),
        "GOTRUE_JWT_SECRET": keys.hmac_secret,
        "GOTRUE_JWT_KEYS": json.dumps([keys.private_jwk]),
        "GOTRUE_JWT_VALIDMETHODS": "ES256,HS256",
        "GOTRUE_JWT_AUD": "authenticated",
        "GOTRUE_JWT_DEFAULT_GROUP_NAME": "authenticated",
        "GOTRUE_JWT_ADMIN_ROLES": "service_role,supabase_admin",
        "GOTRUE_JWT_EXP": "3600",
        "GOTRUE_JWT_ISSUER": f"{origin}/auth/v1",
        "GOTRUE_EXTERNAL_EMAIL_ENABLED": "true",
        "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED": "true",
        "GOTRUE_MAILER_AUTOCONFIRM": "true",
        "GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_ENABLED": "true",
        "GOTRUE_HOOK_CUSTOM_ACCESS_TOKEN_URI": "pg-functions://postgres/private/custom_access_token",
        # the platform's value; the server's own default of 0 signs out a browser whose two tabs refresh at once
        "GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL": "10",
        "GOTRUE_SMTP_HOST": "127.0.0.1",
        "GOTRUE_SMTP_PORT": str(smtp_port),
        "GOTRUE_SMTP_ADMIN_EMAIL": "auth@headstart.test",
        "GOTRUE_SMTP_SENDER_NAME": "Headstart",
        "GOTRUE_SMTP_MAX_FREQUENCY": "1s",  # nobody waits a minute for the second mail of a local trial
        "GOTRUE_RATE_LIMIT_ANONYMOUS_USERS": "100000",
        "GOTRUE_RATE_LIMIT_TOKEN_REFRESH": "100000",
        "GOTRUE_RATE_LIMIT_VERIFY": "100000",
        "GOTRUE_RATE_LIMIT_OTP": "100000",
        "GOTRUE_RATE_LIMIT_EMAIL_SENT": "100000",
    }


def migrate_real_auth(server: Server, database: str = "postgres") -> None:
    """Lets the real Auth make its tables, or bring them up to date.

    :raise PostgresFailed: with Auth's own words
    """
    environment = {**os.environ, **auth_environment(server, Keys.fresh(), 0, "http://127.0.0.1", 0)}
    environment["DATABASE_URL"] = server.url("supabase_auth_admin", database)
    binary = real_auth()
    assert binary is not None
    done = subprocess.run([str(binary), "migrate"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PostgresFailed(f"auth migrate failed: {done.stderr[-2000:]}")

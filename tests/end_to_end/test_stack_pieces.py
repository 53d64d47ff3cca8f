"""The pieces behind the stack's commands, each alone: settings, ports, folders, what dead runs leave."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from scripts.native import environment, leftovers, outside, paths, ports, postgres
from scripts.native.auth import auth_environment
from scripts.native.home import Home, MadeFrom
from scripts.native.keys import Keys
from scripts.native.processes import Part, Watchdog, state_of
from scripts.native.programs import SetUpFailed, cli_environment, postgrest
from scripts.native.stack import Options, Stack
from tests.end_to_end.first_hour.checkout import listening

MADE = MadeFrom(16, "roles", "stand-in a", {"1_create_a.sql": "x", "3_create_c.sql": "z"}, "seed")


# ---- which settings count ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "counts"),
    [
        ("OPENAI_API_KEY", "sk-mine", True),
        ("LOG_LEVEL", "DEBUG", True),
        ("APP_ENV", "production", False),
        ("ENCRYPTION_KEYS", "1:abc", False),
        ("JWT_ISSUER", "https://abc.supabase.co/auth/v1", False),
        ("SUPABASE_URL", "https://abc.supabase.co", False),
        ("SUPABASE_ANYTHING_NEW", "x", False),
        ("FRONTEND_URL", "http://localhost:5173", True),
        ("FRONTEND_URL", "https://app.example.edu", False),
        ("CORS_ORIGINS", "http://localhost:5173,http://[::1]:3000", True),
        ("CORS_ORIGINS", "http://localhost:5173,https://app.example.edu", False),
        ("CORS_ORIGINS", "http://[::1", False),
    ],
)
def test_settings_of_a_project_elsewhere_do_not_reach_a_local_stack(name: str, value: str, counts: bool) -> None:
    assert environment.may_count(name, value) == counts


def test_the_shell_wins_over_dotenv_and_the_rest_of_it_is_silenced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("OPENAI_MODEL=a\nLOG_LEVEL=DEBUG\nAPP_ENV=production\nSMTP_HOST=\n")
    monkeypatch.setattr(paths, "DOTENV", tmp_path / ".env")
    monkeypatch.setenv("OPENAI_MODEL", "b")
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    found = environment.from_outside(with_dotenv=True)
    assert (found["OPENAI_MODEL"], found["LOG_LEVEL"]) == ("b", "DEBUG")
    assert "APP_ENV" not in found or found["APP_ENV"] != "production"
    without = environment.silenced(environment.from_outside(with_dotenv=False))
    assert (without["OPENAI_MODEL"], without["LOG_LEVEL"], without["APP_ENV"]) == ("b", "", "")


def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet.example, 127.0.0.1")
    monkeypatch.delenv("no_proxy", raising=False)
    environment.never_proxy_loopback()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "intranet.example,127.0.0.1,localhost,::1"


def test_the_cli_keeps_its_files_in_the_repository_and_knows_no_other_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_DB_PASSWORD", "of another project")
    found = cli_environment()
    assert all(Path(found[name]).is_relative_to(paths.STATE) for name in ("SUPABASE_HOME", "TMPDIR"))
    assert "SUPABASE_DB_PASSWORD" not in found


def test_auth_lets_two_tabs_refresh_at_once() -> None:
    found = auth_environment(postgres.Server(Path(), Path()), Keys.fresh(), 1, "http://127.0.0.1", 2)
    assert found["GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL"] == "10", "as the platform sets it"


# ---- programs and ports --------------------------------------------------------------------------------------------


def test_postgrest_comes_from_the_setting_then_from_path_then_from_npm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def program(folder: str, version: str) -> Path:
        file = tmp_path / folder / "postgrest"
        file.parent.mkdir()
        file.write_text(f"#!/bin/sh\necho PostgREST {version}\n")
        file.chmod(0o755)
        return file

    assert postgrest().source == "npm"
    assert str(postgrest()).startswith("PostgREST 12.0.2 (npm)")
    on_path, named = program("path", "14.1"), program("named", "16.5")
    monkeypatch.setenv("PATH", f"{on_path.parent}:{os.environ['PATH']}")
    assert (postgrest().binary, postgrest().version) == (on_path, "14.1")
    monkeypatch.setenv("POSTGREST_BIN", str(named))
    assert (postgrest().binary, postgrest().version) == (named, "16.5")
    monkeypatch.setenv("POSTGREST_BIN", "/bin/ls")
    with pytest.raises(SetUpFailed, match="POSTGREST_BIN"):
        postgrest()


def test_a_taken_port_is_named_with_the_process_that_has_it() -> None:
    with listening() as server:
        port = server.getsockname()[1]
        said: list[str] = []
        other = ports.preferred(port, "the gateway", said.append)
        assert other != port
        assert f"port {port} is taken by process {os.getpid()} (" in said[0]
        assert f"the gateway listens on {other} instead" in said[0]
        with pytest.raises(SetUpFailed, match=f"port {port} for the gateway is taken by process {os.getpid()}"):
            ports.chosen(port, "the gateway")
    assert ports.preferred(port, "the gateway", said.append) == ports.chosen(port, "the gateway") == port
    assert len(said) == 1


# ---- folders -------------------------------------------------------------------------------------------------------


def test_a_folder_outside_is_ours_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "STATE", tmp_path / "state")
    monkeypatch.setattr(paths, "others_may_enter", lambda _: True)
    monkeypatch.setattr(outside, "temporary", lambda: tmp_path)
    first = outside.folder("data")
    assert outside.folder("data") == first, "the same at each call"
    assert outside.folder("other") != first
    first.chmod(0o777)
    second = outside.folder("data")
    assert second != first, "a folder that others may write into is not used"
    second.rmdir()
    second.symlink_to(first)
    assert outside.folder("data") not in (first, second), "a link is not followed"
    if paths.is_root():
        third = outside.folder("data")
        os.chown(third, 65534, 65534)
        assert outside.folder("data") != third, "a folder of somebody else is not used"


def test_a_file_is_written_whole_and_keys_are_made_once(tmp_path: Path) -> None:
    file = tmp_path / "state" / "keys.json"
    keys = Keys.kept(file)
    assert Keys.kept(file) == keys
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.glob(".*")] == [], "nothing half-written stays"
    file.write_text('{"private')
    with pytest.raises(SetUpFailed, match="delete the file"):
        Keys.kept(file)


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (MADE, None),
        (replace(MADE, seed="other"), None),
        (replace(MADE, migrations={**MADE.migrations, "4_add_d.sql": "d"}), None),
        (replace(MADE, postgres=18), "PostgreSQL 18"),
        (replace(MADE, platform="other"), "roles and schemas have changed"),
        (replace(MADE, auth="real"), "another Auth"),
        (replace(MADE, migrations={**MADE.migrations, "3_create_c.sql": "y"}), "3_create_c.sql has changed"),
        (replace(MADE, migrations={"1_create_a.sql": "x"}), "3_create_c.sql, which is not in supabase/migrations"),
        (replace(MADE, migrations={**MADE.migrations, "2_add_b.sql": "b"}), "2_add_b.sql is older than its newest"),
    ],
)
def test_a_kept_database_says_why_it_cannot_be_continued(now: MadeFrom, says: str | None) -> None:
    obstacle = MADE.obstacle(now)
    assert obstacle is None if says is None else says in str(obstacle)


def test_a_home_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    with Home(tmp_path / "home") as home:
        home.tell_owner("process 1, which serves at http://127.0.0.1:1")
        with pytest.raises(SetUpFailed, match="in use by process 1, which serves at http"):
            Home(tmp_path / "home").__enter__()
    with Home(tmp_path / "home"):
        pass


# ---- what dead runs leave ------------------------------------------------------------------------------------------


SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


@contextlib.contextmanager
def sleeping(*arguments: str, run: str | None = None) -> Iterator[psutil.Process]:
    """A process in a session of its own, with these arguments and, if one is given, a run's mark."""
    marked = {**os.environ, **({leftovers.RUN: run} if run else {})}
    process = subprocess.Popen([*SLEEP, *arguments], env=marked, start_new_session=True)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def test_the_next_run_clears_away_what_a_dead_one_left_and_leaves_everybody_else_alone(tmp_path: Path) -> None:
    living, lock = leftovers.new_run(tmp_path, "living-7f3a")
    leftovers.new_run(tmp_path, "dead-7f3a")[1].close()
    mentions = f"{tmp_path}/dead-7f3a/postgres.log"
    with (
        sleeping(run="dead-7f3a") as part,
        sleeping("-c", "cluster_name=dead-7f3a") as server,
        sleeping(run="living-7f3a") as neighbour,
        sleeping(mentions, "dead-7f3a") as reader,
        sleeping(run="dead-7f3a0") as namesake,
    ):
        home, next_lock = leftovers.new_run(tmp_path, "next-7f3a")
        assert {folder.name for folder in tmp_path.iterdir() if folder.is_dir()} == {living.name, home.name}
        assert not leftovers.lives(part)
        assert not leftovers.lives(server)
        assert all(leftovers.lives(stranger) for stranger in (neighbour, reader, namesake))
    lock.close()
    next_lock.close()


def test_a_watchdog_ends_what_nobody_told_it_of_and_the_folders_it_was_told_of(tmp_path: Path) -> None:
    watchdog = Watchdog("watched-91bc")
    staged = tmp_path / "staged"
    staged.mkdir()
    watchdog.remove(staged)
    with sleeping(run="watched-91bc") as part, sleeping() as command, sleeping() as forgotten, sleeping() as stranger:
        for process in (command, forgotten):
            watchdog.watch_tree(process.pid)
        watchdog.forget(forgotten.pid)
        watchdog.dismiss()
        assert [leftovers.lives(process) for process in (part, command)] == [False, False]
        assert [leftovers.lives(process) for process in (forgotten, stranger)] == [True, True]
    assert not staged.exists()


def test_an_interrupt_while_a_part_is_being_started_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def interrupted(part: Part) -> None:
        started.append(subprocess.Popen(["sleep", "600"], env=dict(part.environment)))
        raise KeyboardInterrupt

    monkeypatch.setattr(Part, "spawn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Stack(Options(without=frozenset({"functions", "worker", "model"}), quiet=True)).__enter__()
    assert [process.wait(5) for process in started] == [-signal.SIGTERM]


def test_one_that_ignores_every_polite_signal_ends_as_well() -> None:
    deaf = "import signal, time; [signal.signal(number, signal.SIG_IGN) for number in (2, 15)]"
    deaf += "; print(1, flush=True); time.sleep(600)"
    command = [sys.executable, "-c", deaf]
    process = subprocess.Popen(command, env={**os.environ, leftovers.RUN: "deaf-4d"}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        leftovers.end_run("deaf-4d")
        assert process.wait(1) == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()


def test_ports_are_free_and_none_that_outgoing_calls_get() -> None:
    with listening(postgres.free_port()) as server:
        port = server.getsockname()[1]
        assert 20000 <= port < 32000
        assert port not in {postgres.free_port() for _ in range(50)}


def test_a_change_of_code_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a")
    before = state_of(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("compiled")
    assert state_of(tmp_path) == before
    os.utime(tmp_path / "a.py", (time.time() + 5, time.time() + 5))
    changed = state_of(tmp_path)
    assert changed != before
    (tmp_path / "a.py").unlink()
    assert state_of(tmp_path) != changed

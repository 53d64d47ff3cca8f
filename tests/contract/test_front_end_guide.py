"""The code of docs/front-end.md, in its order, as one program with the real supabase-js."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from scripts.native.paths import REPO
from scripts.native.stack import Options, Stack

PAGE = (REPO / "docs" / "front-end.md").read_text()


@pytest.fixture(scope="module")
def school() -> Iterator[Stack]:
    """The stack of ./scripts/dev: the seed's people, and a worker."""
    with Stack(Options(quiet=True)) as running:
        running.server.psql(REPO / "supabase" / "seed.sql")
        yield running


def program() -> str:
    """The page's code; what a bundler puts in place of ``import.meta.env`` comes from the environment here."""
    blocks = re.findall(r"^```js\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 8
    code = "\n".join(blocks).replace("import.meta.env.VITE_", "process.env.")
    return code + "\nconsole.log(JSON.stringify({ pages, written, sessions: sessions.data.length }))\nprocess.exit(0)\n"


def test_the_code_of_the_guide_runs(school: Stack, node: str) -> None:
    done = subprocess.run(
        [node, "--no-warnings", "--input-type=module", "-"],
        input=program(),
        cwd=REPO,
        env={**os.environ, **school.exports()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"written":"#' in done.stdout, "the headstart's text came through the stream"


def test_every_error_code_that_the_guide_names_is_explained() -> None:
    """Codes of functions stand in docs/errors.md as well."""
    table = PAGE.split("Decide by `code`")[1].split("\n## ")[0]
    codes = {"unauthorized", *re.findall(r"^\| `([a-z]+_[a-z_]+)`", table, re.MULTILINE)}
    errors = (REPO / "docs" / "errors.md").read_text()
    assert len(codes) > 3
    assert {code for code in codes if f"| `{code}` |" not in errors} == set()

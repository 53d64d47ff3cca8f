"""Scripts that use the real supabase-js against the stack."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from scripts.native.paths import REPO
from scripts.native.stack import Stack

OPENING = """
import { createClient } from '@supabase/supabase-js'
const quiet = { auth: { persistSession: false, autoRefreshToken: false } }
const clientWith = (key) => createClient(process.env.SUPABASE_URL, key, quiet)
const client = clientWith(process.env.SUPABASE_PUBLISHABLE_KEY)
const must = ({ data, error }) => { if (error) { throw error } return data }
const say = (value) => { console.log(JSON.stringify(value)); process.exit(0) }
const [...given] = process.argv.slice(2)
"""


def run_js(node: str, stack: Stack, script: str, *arguments: str) -> Any:
    """Runs a script that ends with ``say(value)`` and answers the value.

    ``client``, ``clientWith(key)`` and ``must(answer)`` are there; ``given`` holds the arguments.
    """
    # the script comes by standard input, so that it resolves packages from the repository
    done = subprocess.run(
        [node, "--no-warnings", "--input-type=module", "-", *arguments],
        input=OPENING + script,
        cwd=REPO,
        env={**os.environ, **stack.exports()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

"""Storage by both ways, two people, and the policies that the recordings count on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from scripts.native.stack import Stack
from tests.contract.storage.replay import Target
from tests.support.canvas import student

POLICIES = Path(__file__).with_name("policies.sql").read_text()
WITHOUT = POLICIES[: POLICIES.index("-- ct-own-")]  # its first part drops them all


@pytest.fixture(scope="module")
def targets(stack: Stack) -> Iterator[list[Target]]:
    """The two ways to Storage, while the recordings' policies stand."""
    with (
        psycopg.connect(stack.db_url, autocommit=True) as owner,
        student(stack) as ana,
        student(stack) as ben,
    ):
        owner.execute(POLICIES.encode())
        people, ids = {"ana": ana.token, "ben": ben.token}, {"ana": ana.user_id, "ben": ben.user_id}
        direct = {"service": stack.service_token, "anon": stack.anon_token}
        keys = {"service": stack.keys.secret_key, "anon": stack.keys.publishable_key}
        try:
            yield [
                Target("Storage", stack.storage_url, {**people, **direct}, ids),
                Target("gateway", f"{stack.url}/storage/v1", {**people, **keys}, ids),
            ]
        finally:
            owner.execute(WITHOUT.encode())

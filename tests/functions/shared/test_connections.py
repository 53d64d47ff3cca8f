"""Connections end with the object that made them, also where nobody closes it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from functions.lti.accounts import Accounts
from functions.shared.answers.waking import Waker
from functions.shared.database import Database
from functions.shared.http import Http
from functions.shared.llm import client
from functions.shared.settings import Settings
from functions.shared.storage import Storage

HOLDERS: list[tuple[Callable[[Settings], Any], str]] = [
    (Accounts, "_http"),
    (Database, "_http"),
    (Http.of, "_client"),
    (Storage, "_http"),
    (lambda settings: Waker(settings.worker_wake_url), "_http"),
    (lambda _: client.connections("http://127.0.0.1:9/v1", "nobody's"), "_client"),
]


@pytest.mark.parametrize(("make", "name"), HOLDERS)
def test_connections_end_with_the_object_that_made_them(
    settings: Settings, make: Callable[[Settings], Any], name: str
) -> None:
    holder = make(settings)
    connections = getattr(holder, name)
    assert not connections.is_closed
    client.connections.cache_clear()
    del holder
    gc.collect()
    assert connections.is_closed

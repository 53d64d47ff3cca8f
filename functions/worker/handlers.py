"""Which handlers there are: every service's ``jobs.py`` registers its own."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable

import functions
from functions.shared.jobs import HandlerRegistry


def all_handlers(modules: Iterable[str] = ()) -> HandlerRegistry:
    """The registry of all services; ``modules`` are further ones with a ``register`` (tests bring their own)."""
    registry = HandlerRegistry()
    for module in pkgutil.iter_modules(functions.__path__):
        name = f"functions.{module.name}.jobs"
        if module.ispkg and module.name not in ("shared", "worker") and importlib.util.find_spec(name):
            importlib.import_module(name).register(registry)
    for name in modules:
        importlib.import_module(name).register(registry)
    return registry

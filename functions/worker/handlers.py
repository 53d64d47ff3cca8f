"""Which handlers there are: every service's ``jobs.py`` registers its own."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable

import functions
from functions.shared.jobs import HandlerRegistry


def all_handlers(modules: Iterable[str] = ()) -> HandlerRegistry:
    """The registry of all services.

    :param modules: further ones with a ``register``, whose handlers replace those of services (tests bring their own)
    """
    registry = HandlerRegistry()
    for module in pkgutil.iter_modules(functions.__path__):
        name = f"functions.{module.name}.jobs"
        if module.ispkg and module.name not in ("shared", "worker") and importlib.util.find_spec(name):
            importlib.import_module(name).register(registry)
    for name in modules:
        further = HandlerRegistry()
        importlib.import_module(name).register(further)
        registry.replace(further)
    return registry

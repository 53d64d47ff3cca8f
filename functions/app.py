"""All services in one application, each under /functions/v1/<name>, with one OpenAPI document.

``gunicorn --config functions/gunicorn.conf.py 'functions.app:create_app()'``
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from apiflask import APIBlueprint, APIFlask

import functions
from functions.shared.settings import Settings
from functions.shared.web.application import create_application

NOT_SERVICES = frozenset({"shared", "worker"})


def services() -> Iterator[tuple[str, APIBlueprint]]:
    """The name and blueprint of every service. A service is a package here whose ``routes.py`` has a ``blueprint``."""
    for module in pkgutil.iter_modules(functions.__path__):
        if module.ispkg and module.name not in NOT_SERVICES:
            routes = importlib.import_module(f"functions.{module.name}.routes")
            yield module.name.replace("_", "-"), routes.blueprint


def create_app(settings: Settings | None = None) -> APIFlask:
    """The application with every service.

    :raise SettingError: a setting is missing or unusable; the message names it
    """
    return create_application(services(), settings)

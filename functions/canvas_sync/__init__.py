"""Bringing a person's Canvas courses and assignments here (http_contract 2)."""

from __future__ import annotations

from apiflask import APIFlask

from functions.shared.settings import Settings


def create_app(settings: Settings | None = None) -> APIFlask:
    """This service alone.

    :raise SettingError: a setting is missing or unusable
    """
    from functions.canvas_sync.routes import blueprint
    from functions.shared.web import create_service

    return create_service("canvas-sync", blueprint, settings)

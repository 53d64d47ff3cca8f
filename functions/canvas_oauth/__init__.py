"""Connecting a person's Canvas: consent, tokens, disconnecting (http_contract 1)."""

from __future__ import annotations

from apiflask import APIFlask

from functions.shared.settings import Settings


def create_app(settings: Settings | None = None) -> APIFlask:
    """This service alone.

    :raise SettingError: a setting is missing or unusable
    """
    from functions.canvas_oauth.routes import blueprint
    from functions.shared.web import create_service

    return create_service("canvas-oauth", blueprint, settings)

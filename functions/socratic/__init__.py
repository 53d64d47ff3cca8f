"""Socratic: an agent asks, one question at a time, and the learner finds the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.shared.settings import Settings

if TYPE_CHECKING:
    from apiflask import APIFlask


def create_app(settings: Settings | None = None) -> APIFlask:
    """This service alone.

    :raise SettingError: a setting is missing or unusable
    """
    from functions.shared.web.application import create_service
    from functions.socratic.routes import blueprint

    return create_service("socratic", blueprint, settings)

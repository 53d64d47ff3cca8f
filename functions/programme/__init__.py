"""The weekly programme: what is written and measured about a learner's week."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.shared.settings import Settings

if TYPE_CHECKING:
    from apiflask import APIFlask


def create_app(settings: Settings | None = None) -> APIFlask:
    """This service alone.

    :raise SettingError: a setting is missing or unusable
    """
    from functions.programme.routes import blueprint
    from functions.shared.web.application import create_service

    return create_service("programme", blueprint, settings)

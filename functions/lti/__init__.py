"""Teachers and students come in from Canvas: LTI 1.3 launches become sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.shared.settings import Settings

if TYPE_CHECKING:
    from apiflask import APIFlask


def create_app(settings: Settings | None = None) -> APIFlask:
    """This service alone.

    :raise SettingError: a setting is missing or unusable
    """
    from functions.lti.routes import blueprint
    from functions.shared.web.application import create_service

    return create_service("lti", blueprint, settings)

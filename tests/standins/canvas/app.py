"""The stand-in Canvas as a Flask app."""

from __future__ import annotations

from flask import Flask

from tests.standins.canvas import faults
from tests.standins.canvas.api import api
from tests.standins.canvas.control import control
from tests.standins.canvas.oauth import oauth
from tests.standins.canvas.world import World


def create_app(world: World) -> Flask:
    """Serves one world."""
    app = Flask("canvas-stand-in")
    app.config["WORLD"] = world
    app.json.sort_keys = False  # type: ignore[attr-defined]
    faults.install(app, world)
    app.register_blueprint(api)
    app.register_blueprint(oauth)
    app.register_blueprint(control)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Says that it listens, and what it is."""
        return {"status": "ok", "stand_in": "canvas"}

    return app

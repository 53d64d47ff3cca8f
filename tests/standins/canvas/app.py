"""The stand-in Canvas as a Flask app."""

from __future__ import annotations

from flask import Flask, Response, request

from tests.standins.canvas import faults
from tests.standins.canvas.api import VERIFIER, api
from tests.standins.canvas.control import control
from tests.standins.canvas.feeds import feeds
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
    app.register_blueprint(feeds)

    @app.get("/courses/<int:course_id>/files/<int:id>/download")
    def download(course_id: int, id: int) -> Response:
        """A file, for everybody who has its address, as in Canvas."""
        found = world.courses[course_id].files.get(id)
        if found is None or request.args.get("verifier") != VERIFIER:
            return Response(status=404)
        return Response(found[1], content_type="application/octet-stream")

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Says that it listens, and what it is."""
        return {"status": "ok", "stand_in": "canvas"}

    return app

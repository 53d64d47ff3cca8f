"""``/openapi.json`` and the page that shows it.

The page is Swagger UI. A Python package contains its files, so the page loads nothing from another host.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from apiflask import APIFlask
from flask import Response, jsonify, request

from functions.shared.errors import NotFound
from functions.shared.settings import Settings
from functions.shared.web.openapi import BASE, TITLE, document
from functions.shared.web.operations import Access, operation

VIEWER = files("flask_swagger_ui") / "dist"
ASSETS = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
MAX_ASSET_AGE_SECONDS = 3600
# This is a file of its own, because the page's policy allows no script inside the page.
START_SCRIPT = f"""\
SwaggerUIBundle({{
  url: "{BASE}/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
}})
"""
PAGE = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{TITLE}</title>
<link rel="icon" type="image/png" href="{BASE}/docs/favicon-32x32.png">
<link rel="stylesheet" href="{BASE}/docs/swagger-ui.css">
</head>
<body>
<div id="viewer"></div>
<noscript>This page needs JavaScript. The document itself is <a href="{BASE}/openapi.json">openapi.json</a>.</noscript>
<script src="{BASE}/docs/swagger-ui-bundle.js"></script>
<script src="{BASE}/docs/start.js"></script>
</body>
</html>
"""


def content_security_policy(settings: Settings) -> str:
    """Lets the page load its own files, and call the functions at their public address."""
    parts = urlsplit(settings.functions_url)
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' {parts.scheme}://{parts.netloc}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def set_up(app: APIFlask, settings: Settings) -> None:
    """Adds the document and its page. Call this after every service is mounted."""
    policy = content_security_policy(settings)

    @functools.cache
    def whole() -> dict[str, Any]:
        return document(app, settings)

    @app.get(f"{BASE}/openapi.json")
    @operation("The OpenAPI document", access=Access.PUBLIC, is_listed=False)
    def openapi() -> Response:
        return jsonify(whole())

    @app.get(f"{BASE}/docs")
    @operation("The document as a page", access=Access.PUBLIC, is_listed=False)
    def docs() -> Response:
        headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}
        return Response(PAGE, content_type="text/html; charset=utf-8", headers=headers)

    @app.get(f"{BASE}/docs/<name>")
    @operation("A file of the page", access=Access.PUBLIC, is_listed=False)
    def asset(name: str) -> Response:
        if name == "start.js":
            return Response(START_SCRIPT, content_type="text/javascript; charset=utf-8")
        if name not in ASSETS:
            raise NotFound
        response = Response(_content(name), content_type=ASSETS[name])
        response.cache_control.max_age = MAX_ASSET_AGE_SECONDS
        response.add_etag()
        response.make_conditional(request)
        return response


@functools.cache
def _content(name: str) -> bytes:
    return (VIEWER / name).read_bytes()

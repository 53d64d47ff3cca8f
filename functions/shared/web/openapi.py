"""The merged OpenAPI 3.1 document and a page that shows it without fetching anything from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Any

from apiflask import APIFlask
from flask import Response

from functions.shared.settings import Settings
from functions.shared.web.schemas import ErrorBody

BASE = "/functions/v1"
# for ``@blueprint.doc(security=PUBLIC)``: no credentials are needed
PUBLIC: list[str | dict[str, list[Any]]] = [{}]
ERROR = {"$ref": "#/components/schemas/Error"}
METHODS = ("get", "post", "put", "patch", "delete")
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{background:#eee;padding:.1em .3em;border-radius:.2em}section{border-top:1px solid #ccc;padding:.5rem 0}"
    "pre{background:#f6f6f6;padding:.5rem;overflow:auto}"
)


def set_up(app: APIFlask, settings: Settings) -> None:
    """Adds the document's fixed parts and the page."""
    app.config["OPENAPI_VERSION"] = "3.1.0"
    app.config["AUTO_404_RESPONSE"] = False
    app.config["AUTO_SERVERS"] = False
    app.config["AUTO_AUTH_ERROR_RESPONSE"] = False
    app.config["SERVERS"] = [{"url": settings.functions_url.removesuffix(BASE)}]
    app.config["HTTP_ERROR_SCHEMA"] = app.config["VALIDATION_ERROR_SCHEMA"] = ERROR
    app.config["SECURITY_SCHEMES"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token of Auth."}
    }
    app.spec_processor(complete)

    @app.get(f"{BASE}/docs")
    @app.doc(hide=True, security=PUBLIC)
    def docs() -> Response:
        """The document as a page."""
        return Response(page(app.spec), content_type="text/html; charset=utf-8")


def complete(spec: Any) -> Any:
    """Every operation wants a bearer unless it says otherwise, and may answer the one error shape."""
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    schemas["Error"] = ErrorBody.model_json_schema()
    error = {"description": "An error", "content": {"application/json": {"schema": ERROR}}}
    for path in spec.get("paths", {}).values():
        for method in METHODS:
            if method in path:
                path[method].setdefault("security", [{"bearer": []}])
                path[method].setdefault("responses", {})["default"] = error
    return spec


def page(spec: Any) -> str:
    """A plain page: every operation with its summary, and a link to the document."""
    parts = []
    for path, operations in sorted(spec.get("paths", {}).items()):
        for method in METHODS:
            if method in operations:
                operation = operations[method]
                signed = "public" if operation.get("security") == PUBLIC else "access token"
                statuses = ", ".join(escape(str(status)) for status in operation.get("responses", {}))
                parts.append(
                    f"<section><h3><code>{method.upper()} {escape(path)}</code></h3>"
                    f"<p>{escape(operation.get('summary', ''))}</p><p>{escape(operation.get('description', ''))}</p>"
                    f"<p>{signed}; answers {statuses}</p></section>"
                )
    title = escape(str(spec["info"]["title"]))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f'<h1>{title}</h1><p>Machine-readable: <a href="openapi.json">openapi.json</a></p>{"".join(parts)}</html>'
    )

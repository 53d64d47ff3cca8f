"""The OpenAPI 3.1 document of an application, made of what its routes declare."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from apiflask import APIFlask
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from werkzeug.routing import Rule

from functions.shared.errors import (
    AnonymousForbidden,
    AppError,
    BadRequest,
    Forbidden,
    Internal,
    MalformedJson,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from functions.shared.settings import Settings
from functions.shared.web.operations import Access, Operation, Outcome, added_errors, headers_of, operation_of
from functions.shared.web.schemas import ErrorBody
from functions.shared.web.uploads import NotMultipart, file_part

BASE = "/functions/v1"
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
TITLE = "Headstart functions"
DESCRIPTION = """\
What a front end cannot do over REST: everything that needs a secret, an outside system or a model.

Every error has the same five fields, and its `code` is stable. Send `X-Request-Id` to find a call again in the logs;
the answer carries it too. To try calls out, press **Authorize** and paste the access token of a signed-in person."""
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token that Auth gave a person at sign-in (`session.access_token`).",
    },
    "secretKey": {
        "type": "apiKey",
        "in": "header",
        "name": "apikey",
        "description": "The project's secret API key, for administration from a server. Never use it in a browser.",
    },
}
SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    Access.PUBLIC: [],
    Access.PERSON: [{"bearer": []}],
    Access.ADMINISTRATION: [{"bearer": []}, {"secretKey": []}],
}
EXAMPLE_REQUEST_ID = "5b6f3c0a9d3e4a7f8c1d2e3f4a5b6c7d"
CONVERTERS = {"uuid": {"type": "string", "format": "uuid"}}

# errors that may occur before a view runs
ERRORS_EVERYWHERE = (PayloadTooLarge, Internal)
ERRORS_OF_ACCESS: dict[Access, tuple[type[AppError], ...]] = {
    Access.PUBLIC: (),
    Access.PERSON: (Unauthorized, AnonymousForbidden, Unavailable),
    Access.ADMINISTRATION: (Unauthorized, AnonymousForbidden, Forbidden, Unavailable),
}
ERRORS_OF_BODIES = (BadRequest, MalformedJson, UnsupportedMediaType, ValidationFailed)
ERRORS_OF_UPLOADS = (BadRequest, NotMultipart, ValidationFailed)

View = Callable[..., Any]
Mode = Literal["validation", "serialization"]


def document(app: APIFlask, settings: Settings) -> dict[str, Any]:
    """The whole document."""
    listed = list(_listed(app))
    paths: dict[str, dict[str, Any]] = {}
    for rule, view, said in sorted(listed, key=lambda entry: entry[0].rule):
        for method in sorted(METHODS & (rule.methods or set())):
            paths.setdefault(_path(rule), {})[method.lower()] = _operation(rule, view, said)
    names = {_tag_name(rule) for rule, _, _ in listed}
    tags = [_tag(app, name) for name in app.blueprints if name in names]
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": "1", "description": DESCRIPTION},
        "servers": [{"url": settings.functions_url.removesuffix(BASE)}],
        "tags": tags,
        "paths": paths,
        "components": {"schemas": _schemas(listed), "securitySchemes": SECURITY_SCHEMES},
    }


def errors_of(rule: Rule, view: View, said: Operation) -> list[type[AppError]]:
    """Every error that a route can answer, ordered by status and code."""
    found: list[type[AppError]] = [
        *said.errors,
        *added_errors(view),
        *ERRORS_OF_ACCESS[said.access],
        *ERRORS_EVERYWHERE,
    ]
    if _body_model(view) is not None:
        found += ERRORS_OF_BODIES
    if said.form is not None:
        found += ERRORS_OF_UPLOADS
    if _query_models(view):
        found.append(ValidationFailed)
    if rule.arguments:
        # a malformed id in the path matches no route
        found.append(NotFound)
    # of two errors with one code, the view's own wins
    by_code = {error.code: error for error in reversed(found)}
    return sorted(by_code.values(), key=lambda error: (error.status, error.code))


def _listed(app: APIFlask) -> Iterator[tuple[Rule, View, Operation]]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if operation_of(view).is_listed:
            yield rule, view, operation_of(view)


def _path(rule: Rule) -> str:
    return re.sub(r"<(?:[a-z]+:)?(\w+)>", r"{\1}", rule.rule)


def _tag_name(rule: Rule) -> str:
    return str(rule.endpoint).rpartition(".")[0]


def _tag(app: APIFlask, name: str) -> dict[str, str]:
    described = getattr(app.blueprints[name], "tag", None)
    return dict(described) if isinstance(described, dict) else {"name": name, "description": name}


def _operation(rule: Rule, view: View, said: Operation) -> dict[str, Any]:
    answers = {str(status): _outcome(outcome) for status, outcome in said.outcomes.items()}
    by_status: dict[int, list[type[AppError]]] = {}
    for error in errors_of(rule, view, said):
        for status in (error.status, *error.also_statuses):
            by_status.setdefault(status, []).append(error)
    answers |= {str(status): _failure(errors) for status, errors in by_status.items()}
    operation: dict[str, Any] = {
        "operationId": rule.endpoint.replace(".", "_").replace("-", "_"),
        "summary": said.summary,
        "description": inspect.getdoc(view) or said.summary,
        "tags": [_tag_name(rule)],
        "security": SECURITY[said.access],
        "responses": dict(sorted(answers.items())),
    }
    parameters = list(_parameters(rule, view))
    if parameters:
        operation["parameters"] = parameters
    body = _body_model(view)
    if body is not None:
        is_required = any(field.is_required() for field in body.model_fields.values())
        # the whole body is the field ``text``
        example = (getattr(body, "example", None) or {}).get("text")
        texts = {text: {"schema": {"type": "string"}, "example": example} for text in said.texts}
        content = {"application/json": _content(body, None), **texts}
        operation["requestBody"] = {"required": is_required, "content": content}
    if said.form is not None:
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": _upload(said.form)}}
    return operation


def _upload(form: type[BaseModel]) -> dict[str, Any]:
    schema, name = form.model_json_schema(schema_generator=Untitled), file_part(form)
    file = {"type": "string", "contentMediaType": "application/octet-stream", "description": "The file."}
    return {
        "schema": {
            **{key: value for key, value in schema.items() if key != "description"},
            "properties": {name: file, **schema["properties"]},
            "required": [name, *schema.get("required", ())],
        },
        "example": {name: "(the bytes of the file)", **(getattr(form, "example", None) or {})},
    }


def _parameters(rule: Rule, view: View) -> Iterator[dict[str, Any]]:
    for kind, name in re.findall(r"<(?:([a-z]+):)?(\w+)>", rule.rule):
        yield {"name": name, "in": "path", "required": True, "schema": CONVERTERS.get(kind, {"type": "string"})}
    for model in _query_models(view):
        schema = model.model_json_schema(schema_generator=Untitled)
        for name, part in schema["properties"].items():
            rest = {key: value for key, value in part.items() if key != "description"}
            is_required = name in schema.get("required", ())
            parameter = {"name": name, "in": "query", "required": is_required, "schema": rest}
            yield parameter | ({"description": part["description"]} if "description" in part else {})
    for header in headers_of(view):
        yield {"name": header.name, "in": "header", "description": header.description, "schema": dict(header.schema)}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": outcome.description}
    if outcome.headers:
        answer["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in outcome.headers.items()
        }
    if outcome.model is not None or outcome.example is not None:
        answer["content"] = {one.media_type: _content(one.model, one.example) for one in (outcome, *outcome.others)}
    return answer


def _content(model: type[BaseModel] | None, example: Any) -> dict[str, Any]:
    if model is None:
        return {"schema": {"type": "string"}, "example": example}
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    example = getattr(model, "example", None)
    if example is None:
        return content
    return content | {"example": example if isinstance(example, list) else dict(example)}


def _failure(errors: list[type[AppError]]) -> dict[str, Any]:
    """The answer of one status, with every code that it may have and an example of each."""
    codes = [error.code for error in errors]
    shape = {"allOf": [{"$ref": "#/components/schemas/ErrorBody"}, {"properties": {"code": {"enum": codes}}}]}
    samples = [(error.code, error()) for error in errors]
    headers = {name for _, sample in samples for name in sample.headers()}
    answer: dict[str, Any] = {
        "description": "\n\n".join(f"`{code}`: {sample.message}" for code, sample in samples),
        "content": {
            "application/json": {
                "schema": shape,
                "examples": {code: {"value": sample.body(EXAMPLE_REQUEST_ID)} for code, sample in samples},
            }
        },
    }
    if headers:
        answer["headers"] = {name: {"schema": {"type": "string"}} for name in sorted(headers)}
    return answer


def _body_model(view: View) -> type[BaseModel] | None:
    """The model with which ``@blueprint.input`` checks the JSON body."""
    model: type[BaseModel] | None = getattr(view, "_spec", {}).get("body")
    return model


def _query_models(view: View) -> list[type[BaseModel]]:
    """The models with which ``@blueprint.input`` checks the query."""
    return [model for model, location in getattr(view, "_spec", {}).get("args") or [] if location == "query"]


class Untitled(GenerateJsonSchema):
    """JSON schemas without titles, which would only repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def _schemas(listed: Iterable[tuple[Rule, View, Operation]]) -> dict[str, Any]:
    wanted: dict[tuple[type[BaseModel], Mode], None] = {(ErrorBody, "serialization"): None}
    for _, view, said in listed:
        body = _body_model(view)
        if body is not None:
            wanted[body, "validation"] = None
        outcomes = [one for outcome in said.outcomes.values() for one in (outcome, *outcome.others)]
        wanted |= {(one.model, "serialization"): None for one in outcomes if one.model is not None}
    _, schema = models_json_schema(list(wanted), ref_template="#/components/schemas/{model}", schema_generator=Untitled)
    return dict(sorted(schema["$defs"].items()))

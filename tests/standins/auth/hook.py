"""The custom access token hook: a function in the database that may change, extend or refuse a token's claims."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
from psycopg import sql

from tests.standins.auth.config import Config
from tests.standins.auth.errors import ApiError, internal
from tests.standins.auth.formats import now, timestamp
from tests.standins.auth.store import Tx

TIME_LIMIT_MS = 2000
REQUIRED = ("aud", "exp", "iat", "sub", "email", "phone", "role", "aal", "session_id", "is_anonymous")
TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
    "aud": ("string/array", (str, list)),
    "exp": ("integer", (int,)),
    "jti": ("string", (str,)),
    "iat": ("integer", (int,)),
    "iss": ("string", (str,)),
    "nbf": ("integer", (int,)),
    "sub": ("string", (str,)),
    "email": ("string", (str,)),
    "phone": ("string", (str,)),
    "app_metadata": ("object", (dict,)),
    "user_metadata": ("object", (dict,)),
    "role": ("string", (str,)),
    "aal": ("string", (str,)),
    "amr": ("array", (list,)),
    "session_id": ("string", (str,)),
    "client_id": ("string", (str,)),
}
NAMES: dict[type, str] = {
    str: "string",
    list: "array",
    dict: "object",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def run(
    tx: Tx, config: Config, user_id: uuid.UUID, claims: dict[str, Any], method: str, address: str
) -> dict[str, Any]:
    """Runs the hook inside the caller's transaction, so a failure undoes the session too.

    :raise ApiError: the hook refused (its own status), broke, took over two seconds or dropped a claim (500)
    """
    event = {
        "metadata": {
            "uuid": str(uuid.uuid4()),
            "time": timestamp(now()),
            "name": "customize-access-token",
            "ip_address": address,
        },
        "user_id": str(user_id),
        "claims": claims,
        "authentication_method": method,
    }
    result = _call(tx, config, json.dumps(event))
    if result is None:
        return _checked(None)
    if not isinstance(result, dict):
        raise internal("Error unmarshaling JSON output.")
    refusal = result.get("error")
    if isinstance(refusal, dict) and refusal.get("message"):
        raise ApiError(int(refusal.get("http_code") or 500), "", str(refusal["message"]))
    output = result.get("claims")
    if output is not None and not isinstance(output, dict):
        raise internal("Error unmarshaling JSON output.")
    return _checked(output)


def _call(tx: Tx, config: Config, event: str) -> Any:
    function = sql.SQL(".").join(map(sql.Identifier, config.hook_function or ()))
    try:
        tx.execute(sql.SQL("set local statement_timeout to {}").format(TIME_LIMIT_MS))
        row = tx.execute(sql.SQL("select {}(%s) as output").format(function), (event,)).fetchone()
        tx.execute("set local statement_timeout to default")
    except psycopg.Error as error:
        raise internal(f"Error running hook URI: {config.hook_uri}", error) from error
    return row["output"] if row else None


def _checked(claims: dict[str, Any] | None) -> dict[str, Any]:
    """The claims, if everything a token needs is there with the right type."""
    if claims is None:
        raise _unfit(["(root): Invalid type. Expected: object, given: null"])
    wrong = [f"(root): {name} is required" for name in REQUIRED if name not in claims]
    for name, (expected, types) in TYPES.items():
        if name not in claims:
            continue
        value = claims[name]
        if isinstance(value, bool) or not isinstance(value, types):
            wrong.append(f"{name}: Invalid type. Expected: {expected}, given: {NAMES[type(value)]}")
    if wrong:
        raise _unfit(wrong)
    return claims


def _unfit(wrong: list[str]) -> ApiError:
    lines = "".join(f"- {line}\n" for line in wrong)
    return ApiError(500, "", f"output claims do not conform to the expected schema: \n{lines}")

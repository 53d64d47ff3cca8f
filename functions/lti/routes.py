"""The routes of this service."""

from __future__ import annotations

from apiflask import APIBlueprint

from functions.lti.configuration import tool_configuration
from functions.lti.keys import load_signing_keys, public_key_set
from functions.lti.schemas import KeySet, ToolConfiguration
from functions.shared.errors import Unavailable
from functions.shared.web.context import context
from functions.shared.web.operations import Access, Outcome, operation
from functions.shared.web.rate_limits import rate_limited

blueprint = APIBlueprint(
    "lti",
    __name__,
    tag={"name": "lti", "description": "Launches from Canvas by LTI 1.3, and what follows from them."},
)


@blueprint.get("/jwks.json")
@operation(
    "Read our public keys", {200: Outcome("A JSON Web Key Set.", KeySet)}, access=Access.PUBLIC, errors=(Unavailable,)
)
@rate_limited("lti-keys", limit=600, by="address")
def jwks() -> tuple[KeySet, int, dict[str, str]]:
    """Platforms check with these what we sign. A retired key stays for at least a day."""
    known = context()
    keys = load_signing_keys(known.database.service(), known.crypto)
    return KeySet(**public_key_set(keys)), 200, {"Cache-Control": "public, max-age=300"}


@blueprint.get("/config.json")
@operation(
    "Read the tool configuration for Canvas",
    {200: Outcome("The configuration of a developer key.", ToolConfiguration)},
    access=Access.PUBLIC,
)
def config() -> ToolConfiguration:
    """An administrator of Canvas pastes it, or its address, when they add a developer key."""
    return ToolConfiguration(**tool_configuration(context().settings))

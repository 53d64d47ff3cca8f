"""Dynamic registration: a platform makes our client there, and we make the platform known, to wait for approval.

Whoever opens our registration page names the address that the platform's configuration is read from, and that
configuration names the keys that we would trust. So the address must be at a Canvas that is known here or at
Instructure's own, everything that it names must be of the same installation, and nothing works before an administrator
approves. The platform's registration token is used once and is never stored or logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog

from functions.lti.configuration import CUSTOM_FIELDS, PLACEMENTS, SCOPES, TITLE, launch_url
from functions.lti.errors import RegistrationRefused
from functions.lti.launch import MAX_ID_CHARACTERS, clean
from functions.shared.database import Database, rpc, run
from functions.shared.errors import Unavailable
from functions.shared.http import (
    AddressRefused,
    Answer,
    AnswerTooLarge,
    AnswerUnreadable,
    Http,
    OutboundError,
    check_url,
)
from functions.shared.settings import Settings

log = structlog.get_logger(__name__)

# Instructure runs these for all schools; addresses below them belong together
CLOUD = ("instructure.com", "canvaslms.com")
TOOL_CONFIGURATION = "https://purl.imsglobal.org/spec/lti-tool-configuration"
CANVAS = "https://canvas.instructure.com/lti/"
CLAIMS = ("iss", "sub", "name", "given_name", "family_name", "email", "locale")
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint")
MAX_URL_CHARACTERS = 2000
MAX_TOKEN_CHARACTERS = 8000
MAX_BYTES = 64 * 1024
READ_SECONDS = 8.0
POST_SECONDS = 15.0


def register(database: Database, settings: Settings, http: Http, configuration_url: str, token: str | None) -> str:
    """Registers us at a platform; the id of the registration, which waits for approval.

    :param configuration_url: where the platform's OpenID configuration is
    :param token: what the platform wants to see again, once
    :raise RegistrationRefused: the platform is not one that may register, or does not register us
    :raise Unavailable: the platform does not answer
    """
    host = urlsplit(admitted_origin(database, settings, configuration_url)).netloc
    if len(token or "") > MAX_TOKEN_CHARACTERS or not (token or "x").isascii() or not (token or "x").isprintable():
        raise RegistrationRefused("token")
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    configuration = _json(_call(http, "GET", configuration_url, READ_SECONDS, headers=headers))
    issuer = _checked(configuration, host, settings)
    given = _json(
        _call(
            http,
            "POST",
            configuration["registration_endpoint"],
            POST_SECONDS,
            headers=headers,
            json=registration_request(settings),
        )
    )
    client_id = given.get("client_id")
    client_id = str(client_id) if type(client_id) is int else client_id
    if not _is_id(client_id):
        raise RegistrationRefused("client_id")
    tool = given.get(TOOL_CONFIGURATION)
    deployment_id = tool.get("deployment_id") if isinstance(tool, dict) else None
    args = {
        "p_issuer": issuer,
        "p_jwks_url": configuration["jwks_uri"],
        "p_auth_url": configuration["authorization_endpoint"],
        "p_token_url": configuration["token_endpoint"],
        "p_name": host,
        "p_client_id": client_id,
        "p_deployment_id": deployment_id if _is_id(deployment_id) else None,
        "p_instance_domain": host,
    }
    registration_id = str(rpc(database.service(), "svc_request_lti_registration", args, safe=True))
    log.info("lti_registration_requested", registration_id=registration_id)
    return registration_id


def admitted_origin(database: Database, settings: Settings, configuration_url: str) -> str:
    """The origin of a configuration that may be read, which may then show our page.

    :raise RegistrationRefused: its host is neither a school's nor Instructure's
    """
    host = _host(configuration_url, settings)
    if not _is_cloud(host) and not _is_known(database, host):
        raise RegistrationRefused("host")
    return f"{urlsplit(configuration_url).scheme}://{host}"


def registration_request(settings: Settings) -> dict[str, Any]:
    """What we ask a platform to register, in the words of LTI dynamic registration."""
    target = settings.frontend_url
    return {
        "application_type": "web",
        "grant_types": ["client_credentials", "implicit"],
        "response_types": ["id_token"],
        "initiate_login_uri": f"{settings.functions_url}/lti/login",
        "redirect_uris": [launch_url(settings)],
        "client_name": TITLE,
        "jwks_uri": f"{settings.functions_url}/lti/jwks.json",
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": " ".join(SCOPES),
        TOOL_CONFIGURATION: {
            "domain": urlsplit(target or "").netloc,
            "target_link_uri": target,
            "custom_parameters": dict(CUSTOM_FIELDS),
            "claims": list(CLAIMS),
            "messages": [
                {"type": kind, "target_link_uri": target, "label": TITLE, "placements": [placement]}
                for placement, kind in PLACEMENTS.items()
            ],
            f"{CANVAS}privacy_level": "public",
            f"{CANVAS}tool_id": "headstart",
        },
    }


def _checked(configuration: Mapping[str, Any], host: str, settings: Settings) -> str:
    """The issuer, when everything that the configuration names belongs to the installation that it was read from."""
    issuer = configuration.get("issuer")
    if not isinstance(issuer, str) or urlsplit(issuer).query or "#" in issuer:
        raise RegistrationRefused("issuer")
    for name, url in (("issuer", issuer), *((name, configuration.get(name)) for name in ENDPOINTS)):
        found = _host(url, settings, name) if isinstance(url, str) else None
        if found is None or (found != host and not (_is_cloud(found) and _is_cloud(host))):
            raise RegistrationRefused(name)
    algorithms = configuration.get("id_token_signing_alg_values_supported", ["RS256"])
    if not isinstance(algorithms, list) or "RS256" not in algorithms:
        raise RegistrationRefused("algorithm")
    return issuer


def _host(url: str, settings: Settings, name: str = "openid_configuration") -> str:
    """``host`` or ``host:port`` of an address that may be called."""
    if not 0 < len(url) <= MAX_URL_CHARACTERS or clean(url) != url:
        raise RegistrationRefused(name)
    try:
        return urlsplit(check_url(url, local=settings.is_local)).netloc.lower()
    except AddressRefused as error:
        raise RegistrationRefused(name) from error


def _is_cloud(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in CLOUD)


def _is_known(database: Database, host: str) -> bool:
    connections = database.service().from_("lms_connections").select("id")
    return bool(run(connections.eq("instance_domain", host).eq("status", "active").limit(1)))


def _call(http: Http, method: str, url: str, seconds: float, **request: Any) -> Answer:
    try:
        answer = http.request(method, url, total_seconds=seconds, read_seconds=seconds, max_bytes=MAX_BYTES, **request)
    except (AddressRefused, AnswerTooLarge) as error:
        raise RegistrationRefused(error.code) from error
    except OutboundError as error:
        raise Unavailable from error
    if answer.status == 429 or answer.status >= 500:
        raise Unavailable
    if not 200 <= answer.status < 300:
        raise RegistrationRefused(f"status {answer.status}")
    return answer


def _json(answer: Answer) -> dict[str, Any]:
    try:
        found = answer.json()
    except AnswerUnreadable as error:
        raise RegistrationRefused("json") from error
    if not isinstance(found, dict):
        raise RegistrationRefused("json")
    return found


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS and clean(value) == value

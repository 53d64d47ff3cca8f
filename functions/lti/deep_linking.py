"""Deep linking: a teacher chooses in Canvas what of ours a course shows, and Canvas gets a signed answer that names it.

The answer belongs to one launch of one person. Links lead to our own pages alone: what a student may see there is
decided when they open it, not by the link.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from functions.lti.configuration import DEEP_LINKING
from functions.lti.course_launches import CourseLaunch, course_launch
from functions.lti.errors import ContentNotAccepted, DeploymentDisabled, NotDeepLinking, ReturnUrlRefused
from functions.lti.keys import current_key, load_signing_keys
from functions.lti.launch import CLAIM, DEEP_LINKING_SETTINGS
from functions.lti.registrations import Registration
from functions.lti.registrations import by_id as registration_by_id
from functions.shared.clock import Clock
from functions.shared.crypto import Envelope
from functions.shared.database import Database
from functions.shared.fetch import is_listed
from functions.shared.http import AddressRefused, check_url
from functions.shared.origins import is_listed_page
from functions.shared.settings import Settings
from functions.shared.tokens import Caller

DL_CLAIM = "https://purl.imsglobal.org/spec/lti-dl/claim/"
RESPONSE = "LtiDeepLinkingResponse"
RESPONSE_SECONDS = 300
MAX_URL_CHARACTERS = 2000
OUR_TYPES = ("ltiResourceLink", "link")


@dataclass(frozen=True)
class Selection:
    """What the platform takes, for the page on which a teacher chooses.

    :param accept_types: those of ours that the platform takes
    """

    return_url: str
    accept_types: tuple[str, ...]
    accept_multiple: bool
    accept_line_item: bool
    title: str | None
    text: str | None
    data: Any
    has_data: bool
    registration: Registration
    launch: CourseLaunch


@dataclass(frozen=True)
class SignedSelection:
    """What the browser posts to the platform, in the field ``JWT``."""

    return_url: str
    jwt: str
    registration: Registration


def selection(database: Database, settings: Settings, caller: Caller, launch_id: str) -> Selection:
    """What may be chosen at a launch for deep linking.

    :raise NotFound: the launch is not the caller's
    :raise Forbidden: the caller does not teach the course now
    :raise RegistrationPending, DeploymentDisabled: switched off since the launch
    :raise NotDeepLinking: nothing is chosen at this launch
    :raise ReturnUrlRefused: the platform wants the answer sent to a foreign host
    """
    launch = course_launch(database, caller, launch_id, must_teach=True)
    given = launch.claims.raw.get(DEEP_LINKING_SETTINGS)
    if launch.message_type != DEEP_LINKING or not isinstance(given, dict):
        raise NotDeepLinking
    registration = registration_by_id(database.service(), launch.registration_id)
    if registration is None:
        raise DeploymentDisabled
    types = given.get("accept_types")
    accepted = [kind for kind in OUR_TYPES if kind in types] if isinstance(types, list) else []
    return Selection(
        return_url=_return_url(given.get("deep_link_return_url"), registration, settings),
        accept_types=tuple(accepted),
        accept_multiple=given.get("accept_multiple") is True,
        accept_line_item=given.get("accept_lineitem") is not False,
        title=_text(given.get("title")),
        text=_text(given.get("text")),
        data=given.get("data"),
        has_data="data" in given,
        registration=registration,
        launch=launch,
    )


def answer(
    database: Database,
    settings: Settings,
    crypto: Envelope,
    clock: Clock,
    caller: Caller,
    launch_id: str,
    items: Sequence[Mapping[str, Any]],
) -> SignedSelection:
    """Signs a choice for the platform. None at all is a choice, too: the teacher changed their mind.

    :param items: content items as LTI writes them, each with ``type``, ``url`` and ``title``
    :raise ContentNotAccepted: the platform does not take them, or one leads elsewhere than to our pages
    :raise AppError: as for :func:`selection`
    """
    chosen = selection(database, settings, caller, launch_id)
    if len(items) > 1 and not chosen.accept_multiple:
        raise ContentNotAccepted("Canvas takes one item here. Choose one.")
    for item in items:
        if item["type"] not in chosen.accept_types:
            raise ContentNotAccepted("Canvas does not take items of this type here.")
        if not is_listed_page(item["url"], settings):
            raise ContentNotAccepted("An item must lead to a page of ours.")
        if "lineItem" in item and (item["type"] != "ltiResourceLink" or not chosen.accept_line_item):
            raise ContentNotAccepted("Canvas takes no graded item here.")
    now = int(clock.now().timestamp())
    claims = {
        "iss": chosen.registration.client_id,
        "aud": chosen.registration.issuer,
        "iat": now,
        "exp": now + RESPONSE_SECONDS,
        "nonce": str(uuid.uuid4()),
        f"{CLAIM}deployment_id": chosen.launch.deployment_id,
        f"{CLAIM}message_type": RESPONSE,
        f"{CLAIM}version": "1.3.0",
        f"{DL_CLAIM}content_items": [dict(item) for item in items],
        **({f"{DL_CLAIM}data": chosen.data} if chosen.has_data else {}),
    }
    key = current_key(load_signing_keys(database.service(), crypto), clock)
    return SignedSelection(chosen.return_url, key.sign(claims, crypto), chosen.registration)


def _return_url(url: Any, registration: Registration, settings: Settings) -> str:
    if not isinstance(url, str) or not 0 < len(url) <= MAX_URL_CHARACTERS or not is_listed(url, registration.hosts):
        raise ReturnUrlRefused
    try:
        return check_url(url, local=settings.is_local)
    except AddressRefused as error:
        raise ReturnUrlRefused from error


def origin_of(url: str) -> str:
    """Scheme and host of a URL, as a content security policy names it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None

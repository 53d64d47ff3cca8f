"""What Canvas reads to install us: addresses, placements and custom fields."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from functions.shared.settings import Settings

TITLE = "Headstart"
DESCRIPTION = "A head start on every assignment, and an assistant for teachers."
AGS = "https://purl.imsglobal.org/spec/lti-ags/scope/"
SCOPES = (
    f"{AGS}lineitem",
    f"{AGS}score",
    f"{AGS}result.readonly",
    "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly",
)
# set while somebody acts as another person; such a launch gives no session
MASQUERADE_FIELD = "masquerading_user_id"
USER_FIELD = "canvas_user_id"
CUSTOM_FIELDS = {
    MASQUERADE_FIELD: "$Canvas.masqueradingUser.id",
    USER_FIELD: "$Canvas.user.id",
    "canvas_course_id": "$Canvas.course.id",
}
RESOURCE_LINK = "LtiResourceLinkRequest"
DEEP_LINKING = "LtiDeepLinkingRequest"
PLACEMENTS = {
    "course_navigation": RESOURCE_LINK,
    "link_selection": DEEP_LINKING,
    "assignment_selection": DEEP_LINKING,
}


def launch_url(settings: Settings) -> str:
    """The one redirect address of our tool."""
    return f"{settings.functions_url}/lti/launch"


def tool_configuration(settings: Settings) -> dict[str, Any]:
    """The JSON that a Canvas administrator pastes, or reads from /lti/config.json."""
    target = settings.frontend_url
    return {
        "title": TITLE,
        "description": DESCRIPTION,
        "oidc_initiation_url": f"{settings.functions_url}/lti/login",
        "target_link_uri": target,
        "redirect_uris": [launch_url(settings)],
        "scopes": list(SCOPES),
        "public_jwk_url": f"{settings.functions_url}/lti/jwks.json",
        "custom_fields": dict(CUSTOM_FIELDS),
        "extensions": [
            {
                "platform": "canvas.instructure.com",
                "domain": urlsplit(target).netloc,
                "tool_id": "headstart",
                "privacy_level": "public",
                "settings": {
                    "text": TITLE,
                    "placements": [
                        {
                            "placement": placement,
                            "message_type": message_type,
                            "target_link_uri": target,
                            "text": TITLE,
                            "enabled": True,
                        }
                        for placement, message_type in PLACEMENTS.items()
                    ],
                },
            }
        ],
    }

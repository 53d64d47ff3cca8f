"""Deep linking: a teacher's choice goes back to the platform, signed, and leads to our pages alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx
import jwt

from tests.functions.lti_services.conftest import Course, SignedIn
from tests.standins.lti.platform import CLAIM, DEEP_LINKING_SETTINGS

DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
DATA = " opaque\n{data} "


def teacher_of(course: Course, role: str = "Instructor", **settings: Any) -> SignedIn:
    """Somebody who chooses in Canvas."""
    given = {
        "deep_link_return_url": f"{course.platform.school_url}/deep-link-return?a=1&b=<2>",
        "accept_types": ["ltiResourceLink", "html"],
        "accept_presentation_document_targets": ["iframe"],
        "accept_multiple": False,
        "data": DATA,
        **settings,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return course.come_in(role, message_type="LtiDeepLinkingRequest", extra={DEEP_LINKING_SETTINGS: given})


def choose(who: SignedIn, *items: Mapping[str, Any], launch_id: str | None = None, **headers: str) -> httpx.Response:
    body = {"launch_id": launch_id or who.launch_id, "items": list(items)}
    return who.functions.post("/lti/deep-link", json=body, headers=headers)


def page_of(course: Course, path: str = "/headstarts/1", **more: Any) -> dict[str, Any]:
    return {"type": "ltiResourceLink", "url": f"{course.browser.target}{path}", "title": "Essay <1>", **more}


def test_a_choice_comes_back_signed(course: Course) -> None:
    teacher = teacher_of(course)
    seen = teacher.functions.get(f"/lti/launches/{teacher.launch_id}/deep-link")
    assert seen.json() == {
        "accept_types": ["ltiResourceLink"], "accept_multiple": False, "accept_line_item": True,
        "title": None, "text": None,
        "context": {"id": course.context_id, "label": "BIO-1", "title": "Biology"},
        "placement": "course_navigation",
    }  # fmt: skip
    item = page_of(course, lineItem={"scoreMaximum": 10, "label": "Essay", "resourceId": "e-1"})
    answer = choose(teacher, item)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["return_url"] == f"{course.platform.school_url}/deep-link-return?a=1&b=<2>"
    # as the platform checks it
    token = answer.json()["jwt"]
    keys = jwt.PyJWKSet.from_dict(httpx.get(course.services.jwks_url, trust_env=False).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=course.platform.issuer)
    assert claims["iss"] == course.platform.client_id
    assert 0 < claims["exp"] - claims["iat"] <= 300
    assert len(claims["nonce"]) > 20
    assert claims[f"{CLAIM}message_type"] == "LtiDeepLinkingResponse"
    assert claims[f"{CLAIM}version"] == "1.3.0"
    assert claims[f"{CLAIM}deployment_id"] == next(iter(course.platform.deployments))
    assert claims[f"{DL}content_items"] == [item]
    assert claims[f"{DL}data"] == DATA, "returned unchanged"
    # the same as a page that posts itself
    page = choose(teacher, item, Accept="text/html")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert f"form-action {course.platform.base_url.rpartition('/')[0]};" in policy
    assert "unsafe" not in policy
    action = re.search(r'<form method="post" action="([^"]*)"', page.text)
    assert action is not None
    assert action[1].endswith("?a=1&amp;b=&lt;2&gt;")
    # nothing chosen is an answer too
    assert choose(teacher).status_code == 200


def test_what_the_platform_or_we_do_not_take_is_refused(course: Course) -> None:
    teacher = teacher_of(course)
    good = page_of(course)
    for items, status, code in (
        ([good, good], 400, "lti_content_not_accepted"),
        ([{**good, "type": "link"}], 400, "lti_content_not_accepted"),
        ([{**good, "url": "https://evil.example/"}], 400, "lti_content_not_accepted"),
        ([{**good, "url": f"{course.browser.target}.evil.example/"}], 400, "lti_content_not_accepted"),
        ([{**good, "type": "html", "html": "<b>"}], 422, "validation_failed"),
        ([{**good, "lineItem": {"scoreMaximum": 0}}], 422, "validation_failed"),
        ([{**good, "title": ""}], 422, "validation_failed"),
    ):
        answer = choose(teacher, *items)
        assert (answer.status_code, answer.json()["code"]) == (status, code), items
    ungraded = teacher_of(course, accept_lineitem=False, accept_multiple=True, accept_types=["link", "ltiResourceLink"])
    assert choose(ungraded, good, {**good, "type": "link"}).status_code == 200
    assert choose(ungraded, page_of(course, lineItem={"scoreMaximum": 1})).json()["code"] == "lti_content_not_accepted"
    # another person's launch, a pupil's, and one that is for something else
    pupil, plain = teacher_of(course, "Learner"), course.come_in("Instructor")
    assert choose(plain, good, launch_id=teacher.launch_id).json()["code"] == "not_found"
    assert choose(pupil, good).json()["code"] == "forbidden"
    assert choose(plain, good).json()["code"] == "lti_not_deep_linking"
    for url in ("https://evil.example/return", "javascript:alert(1)", f"{course.platform.school_url}\\@evil", None):
        answer = choose(teacher_of(course, deep_link_return_url=url), good)
        assert (answer.status_code, answer.json()["code"]) == (400, "lti_return_url_refused"), url

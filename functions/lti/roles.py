"""What a person is in one course. Only roles in the course count: a school's employee who learns there is a learner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Role = Literal["teacher", "student", "none"]

MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
TEACHERS = frozenset({"Instructor", "TeachingAssistant", "ContentDeveloper"})
# as a URI alone: the short name may mean an administrator of the school
ADMINISTRATOR = frozenset({"Administrator"})
STUDENTS = frozenset({"Learner"})
# the short names that a platform may use in place of URIs
SHORT = TEACHERS | STUDENTS | {"Mentor", "Manager", "Member", "Officer"}
MAX_ROLES = 50
MAX_ROLE_CHARACTERS = 255


def course_roles(roles: Sequence[str]) -> list[str]:
    """The roles in the course, as the platform wrote them, each once."""
    found = [role for role in roles if len(role) <= MAX_ROLE_CHARACTERS and _name(role) is not None]
    return list(dict.fromkeys(found))[:MAX_ROLES]


def role_of(roles: Sequence[str]) -> Role:
    """What these roles make a person in the course."""
    names = {_name(role) for role in course_roles(roles)}
    if names & (TEACHERS | ADMINISTRATOR):
        return "teacher"
    return "student" if names & STUDENTS else "none"


def _name(role: str) -> str | None:
    """The principal role that a role in a course belongs to; a teaching assistant has their own name."""
    if role in SHORT:
        return role
    if role.startswith(f"{MEMBERSHIP}#"):
        return role.removeprefix(f"{MEMBERSHIP}#")
    if role.startswith(f"{MEMBERSHIP}/"):
        # membership/Instructor#TeachingAssistant
        return role.removeprefix(f"{MEMBERSHIP}/").partition("#")[0]
    return None

"""Passwords: the rules they must meet and how they are stored (bcrypt)."""

from __future__ import annotations

import secrets
import string

import bcrypt

from tests.standins.auth.config import Config
from tests.standins.auth.errors import WeakPassword, invalid

LONGEST_BYTES = 72
COST = 10


def check_strength(config: Config, password: str) -> None:
    """Holds a password against the rules.

    :raise ApiError: 400, longer than bcrypt can tell apart
    :raise WeakPassword: too short or without a required kind of character
    """
    if len(password.encode()) > LONGEST_BYTES:
        raise invalid(f"Password cannot be longer than {LONGEST_BYTES} characters")
    messages, reasons = [], []
    if len(password.encode()) < config.password_min_length:
        reasons.append("length")
        messages.append(f"Password should be at least {config.password_min_length} characters.")
    if any(not set(password) & set(kind) for kind in config.password_required_characters):
        kinds = ", ".join(config.password_required_characters)
        reasons.append("characters")
        messages.append(f"Password should contain at least one character of each: {kinds}.")
    if reasons:
        raise WeakPassword(" ".join(messages), reasons)


def encrypt(password: str) -> str:
    """The bcrypt hash of a password; the empty password has none.

    :raise ApiError: 400 above 72 bytes
    """
    if not password:
        return ""
    if len(password.encode()) > LONGEST_BYTES:
        raise invalid(f"bcrypt: password length exceeds {LONGEST_BYTES} bytes")
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST, b"2a")).decode()


def matches(password: str, encrypted: str) -> bool:
    """Whether the password is the one that was encrypted."""
    try:
        return bcrypt.checkpw(password.encode()[:LONGEST_BYTES], encrypted.encode())
    except ValueError:
        return False


def random_password() -> str:
    """A password nobody knows, for people who are created without one."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(64))

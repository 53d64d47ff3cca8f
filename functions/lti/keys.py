"""The key pairs of our tool: platforms check with them what we sign (deep links, requests for service tokens).

Platforms cache our key set, so a new key is published for a while before it signs (``MIN_PUBLISHED_SECONDS``).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm
from postgrest import SyncPostgrestClient

from functions.shared.clock import Clock
from functions.shared.crypto import Envelope
from functions.shared.database import rpc

ALGORITHM = "RS256"
KEY_BITS = 2048
PRIVATE_KEY_FIELD = "private_key"
MIN_PUBLISHED_SECONDS = 3600


@dataclass(frozen=True)
class SigningKey:
    """One key pair. ``sealed`` is the encrypted private half."""

    kid: str
    sealed: str = field(repr=False)
    public_jwk: Mapping[str, Any]
    is_active: bool
    created_at: datetime

    def sign(self, claims: Mapping[str, Any], crypto: Envelope) -> str:
        """The claims as a signed JWT.

        :raise DecryptionFailed: the private half does not open with any key of ENCRYPTION_KEYS
        """
        pem = crypto.decrypt(self.sealed, row_id=self.kid, field=PRIVATE_KEY_FIELD)
        return jwt.encode(dict(claims), pem, algorithm=ALGORITHM, headers={"kid": self.kid})


def load_signing_keys(service: SyncPostgrestClient, crypto: Envelope) -> list[SigningKey]:
    """Every key pair, newest first. Makes the first one when none is active."""
    keys = _stored(service)
    if not any(key.is_active for key in keys):
        add_signing_key(service, crypto, only_first=True)
        keys = _stored(service)
    return keys


def current_key(keys: Sequence[SigningKey], clock: Clock) -> SigningKey:
    """The key that signs now: the newest active one that platforms have had time to read, else the oldest active one.

    :raise LookupError: none of the keys is active
    """
    active = [key for key in keys if key.is_active]
    if not active:
        raise LookupError("there is no active signing key")
    now = clock.now()
    known = [key for key in active if (now - key.created_at).total_seconds() >= MIN_PUBLISHED_SECONDS]
    return known[0] if known else active[-1]


def public_key_set(keys: Sequence[SigningKey]) -> dict[str, Any]:
    """The key set as platforms read it."""
    return {"keys": [dict(key.public_jwk) for key in keys]}


def add_signing_key(service: SyncPostgrestClient, crypto: Envelope, *, only_first: bool = False) -> str | None:
    """Makes a key pair and stores it; its kid. None with ``only_first`` when an active key exists already."""
    private = generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    kid = uuid.uuid4().hex
    sealed = crypto.encrypt(_pem(private), row_id=kid, field=PRIVATE_KEY_FIELD)
    args = {
        "p_kid": kid,
        "p_private_key_enc": sealed,
        "p_public_jwk": public_jwk(private, kid),
        "p_only_first": only_first,
    }
    return kid if rpc(service, "svc_add_lti_signing_key", args) else None


def public_jwk(private: RSAPrivateKey, kid: str) -> dict[str, Any]:
    """The public half of a key as it stands in a key set."""
    made = json.loads(RSAAlgorithm.to_jwk(private.public_key()))
    return {"kty": "RSA", "n": made["n"], "e": made["e"], "alg": ALGORITHM, "use": "sig", "kid": kid}


def _stored(service: SyncPostgrestClient) -> list[SigningKey]:
    return [
        SigningKey(
            kid=row["kid"],
            sealed=row["private_key_enc"],
            public_jwk=row["public_jwk"],
            is_active=row["status"] == "active",
            created_at=datetime.fromisoformat(row["created_at"]),
        )
        for row in rpc(service, "svc_list_lti_signing_keys", safe=True)
    ]


def _pem(private: RSAPrivateKey) -> str:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

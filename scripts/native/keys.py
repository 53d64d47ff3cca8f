"""The stack's keys: one ES256 signing key, the tokens minted with it, and API keys in the platform's form."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from scripts.native import paths
from scripts.native.programs import SetUpFailed

TEN_YEARS_SECONDS = 10 * 365 * 24 * 3600


def _b64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


@dataclass(frozen=True)
class Keys:
    """What signs tokens and what callers show at the gateway."""

    private_jwk: dict[str, Any]
    hmac_secret: str
    publishable_key: str
    secret_key: str
    encryption_keys: str

    @classmethod
    def fresh(cls) -> Keys:
        """New random keys."""
        numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
        jwk = {
            "kty": "EC",
            "crv": "P-256",
            "alg": "ES256",
            "use": "sig",
            "key_ops": ["sign", "verify"],
            "kid": str(uuid.uuid4()),
            "x": _b64(numbers.public_numbers.x),
            "y": _b64(numbers.public_numbers.y),
            "d": _b64(numbers.private_value),
        }
        envelope = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        return cls(
            private_jwk=jwk,
            hmac_secret=secrets.token_hex(32),
            publishable_key=f"sb_publishable_{secrets.token_urlsafe(24)}",
            secret_key=f"sb_secret_{secrets.token_urlsafe(24)}",
            encryption_keys=f"1:{envelope}",
        )

    @classmethod
    def kept(cls, file: Path) -> Keys:
        """The keys stored in ``file``; new ones are stored there first when it is missing.

        :raise SetUpFailed: the file cannot be read
        """
        with paths.locked(file.with_suffix(".lock")):
            if not file.exists():
                paths.write_whole(file, json.dumps(asdict(cls.fresh())), mode=0o600)
        try:
            return cls(**json.loads(file.read_text()))
        except (ValueError, TypeError) as error:
            raise SetUpFailed(f"the keys in {file} cannot be read: delete the file to get new ones") from error

    @property
    def public_jwks(self) -> dict[str, Any]:
        """The JWKS that verifiers need: the public half alone."""
        public = {name: value for name, value in self.private_jwk.items() if name != "d"}
        return {"keys": [public | {"key_ops": ["verify"]}]}

    def mint(self, role: str) -> str:
        """A ten-year token for an API role, as the platform's gateway puts in place of an API key."""
        now = int(time.time())
        claims = {"iss": "supabase", "role": role, "iat": now, "exp": now + TEN_YEARS_SECONDS}
        return self.sign(claims)

    def sign(self, claims: dict[str, Any]) -> str:
        """Any claims, signed with the stack's key."""
        key = cast(ec.EllipticCurvePrivateKey, jwt.PyJWK(self.private_jwk).key)
        return jwt.encode(claims, key, algorithm="ES256", headers={"kid": self.private_jwk["kid"]})

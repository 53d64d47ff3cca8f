"""Encryption of secrets in the database: AES-256-GCM, bound to the row and the field.

./scripts/rotate-keys finds everything that is encrypted by a convention. The column's name is the field and ``_enc``
(``access_token_enc``), and the row's id stands in the same row, as its primary key or in a column ``..._id``.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from functions.shared.errors import AppError

NONCE_BYTES = 12
UNREADABLE_RETRY_SECONDS = 3600.0  # somebody has to act first
ENVELOPE = re.compile(r"v([0-9]{1,9}):([A-Za-z0-9_-]+)")


class DecryptionFailed(AppError):
    """A stored secret cannot be opened any more. An administrator must check ENCRYPTION_KEYS or store it again.

    The envelope is damaged, belongs to another row or field, or its key is no longer listed. Where a person or the
    school can give the secret anew, the caller turns this into an error that says so.
    """

    status = 503
    code = "secret_unreadable"
    is_lasting = True

    def __init__(self) -> None:
        super().__init__(retry_after=UNREADABLE_RETRY_SECONDS)


class Envelope:
    """Encrypts with the key of the highest number, and decrypts with any key that is still listed.

    :param keys: from number to 32 bytes (ENCRYPTION_KEYS)
    """

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        if not keys:
            raise ValueError("at least one key is needed")
        self._ciphers = {number: AESGCM(key) for number, key in keys.items()}
        self._newest = max(keys)

    def encrypt(self, plain: str, *, row_id: str, field: str) -> str:
        """``v<key number>:<base64url of nonce and ciphertext>``. It opens for the same row and field only."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(nonce, plain.encode(), _bound_to(row_id, field))
        return f"v{self._newest}:{base64.urlsafe_b64encode(nonce + sealed).rstrip(b'=').decode()}"

    def decrypt(self, envelope: str, *, row_id: str, field: str) -> str:
        """The plain text.

        :raise DecryptionFailed: the envelope is damaged or of another row or field, or its key is no longer listed
        """
        match = ENVELOPE.fullmatch(envelope)
        cipher = self._ciphers.get(int(match[1])) if match else None
        if match is None or cipher is None:
            raise DecryptionFailed
        try:
            raw = base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
            return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound_to(row_id, field)).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise DecryptionFailed from error


def _bound_to(row_id: str, field: str) -> bytes:
    return f"{field}:{row_id}".encode()

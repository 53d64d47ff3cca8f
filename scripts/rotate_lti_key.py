"""``./scripts/rotate-lti-key``: makes a new key pair for signing what we send to learning platforms.

The new key is published at once and signs an hour later, when platforms have read it. The one before it stays published
until it was retired for a day, which the rotation after this one begins.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from functions.lti.keys import add_signing_key, load_signing_keys
from functions.shared.crypto import Envelope
from functions.shared.database import Database
from functions.shared.errors import AppError
from functions.shared.settings import SettingError, load_settings


def main(arguments: Sequence[str]) -> int:
    """Adds a key and lists those that are published; 1 when the settings or the database do not allow it."""
    parser = argparse.ArgumentParser("./scripts/rotate-lti-key", description=str(__doc__).partition("\n\n")[0])
    parser.parse_args(arguments)
    try:
        settings = load_settings()
        database, crypto = Database(settings), Envelope(settings.encryption_keys)
        added = add_signing_key(database.service(), crypto)
        keys = load_signing_keys(database.service(), crypto)
    except (SettingError, AppError) as problem:
        print(f"headstart: {problem}", file=sys.stderr)
        return 1
    for key in keys:
        state = "signs in an hour" if key.kid == added else "signs until then" if key.is_active else "retired"
        print(f"{key.kid} {key.created_at:%Y-%m-%d %H:%M} {state}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

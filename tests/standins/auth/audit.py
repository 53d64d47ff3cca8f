"""The log of what happened: one row in auth.audit_log_entries per event."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.standins.auth.formats import now
from tests.standins.auth.store import NIL, Tx, User

KINDS = {
    "login": "account",
    "logout": "account",
    "user_signedup": "team",
    "user_invited": "team",
    "user_deleted": "team",
    "token_revoked": "token",
    "token_refreshed": "token",
    "user_reauthenticate_requested": "",  # so in the real server
}


def record(tx: Tx, actor: User, action: str, traits: dict[str, Any] | None = None) -> None:
    """Writes one event in the name of ``actor``."""
    payload: dict[str, Any] = {
        "action": action,
        "actor_id": str(actor.id),
        "actor_username": actor.phone or actor.email or "",
        "actor_via_sso": actor.is_sso_user,
        "log_type": KINDS.get(action, "user"),
    }
    if "full_name" in actor.raw_user_meta_data:
        payload["actor_name"] = actor.raw_user_meta_data["full_name"]
    if traits:
        payload["traits"] = traits
    tx.execute(
        "insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)"
        " values (%s, %s, %s, %s, '')",
        (NIL, uuid.uuid4(), json.dumps(payload), now()),
    )

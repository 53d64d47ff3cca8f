"""The registry of platforms, as the service reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from postgrest import SyncPostgrestClient

from functions.shared.database import rpc
from functions.shared.settings import is_loopback


@dataclass(frozen=True)
class Registration:
    """Our client at one platform, with that platform's addresses. The statuses are pending, active or disabled.

    :param hosts: with a port where they have one; those that may show us in a frame, and whose services we may call
    """

    registration_id: str
    platform_id: str
    issuer: str
    client_id: str
    name: str
    jwks_url: str
    auth_url: str
    token_url: str
    hosts: tuple[str, ...]
    registration_status: str
    platform_status: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Registration:
        """Of a row of ``svc_find_lti_registrations``."""
        hosts = [*row["hosts"], *(_host(row[name]) for name in ("issuer", "auth_url", "jwks_url", "token_url"))]
        return cls(**{**row, "hosts": tuple(dict.fromkeys(host for host in hosts if host))})

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of its hosts: https, and http for loopback hosts, which only local work has."""
        return tuple(
            f"{'http' if is_loopback(urlsplit(f'//{host}').hostname or '') else 'https'}://{host}"
            for host in self.hosts
        )


def by_id(service: SyncPostgrestClient, registration_id: str) -> Registration | None:
    """The registration with this id, whatever its status."""
    rows = rpc(service, "svc_find_lti_registrations", {"p_registration_id": registration_id}, safe=True)
    return Registration.from_row(rows[0]) if rows else None


def find(
    service: SyncPostgrestClient, issuer: str, client_id: str, deployment_id: str | None = None
) -> Registration | None:
    """The one registration of this issuer and client, whatever its status.

    Platforms may share an issuer, and even a client id. Then the deployment decides; None when it leaves several.
    """
    args = {"p_issuer": issuer, "p_client_id": client_id}
    rows = rpc(service, "svc_find_lti_registrations", args, safe=True)
    if len(rows) > 1 and deployment_id is not None:
        rows = rpc(service, "svc_find_lti_registrations", {**args, "p_deployment_id": deployment_id}, safe=True)
    return Registration.from_row(rows[0]) if len(rows) == 1 else None


def _host(url: str) -> str | None:
    """``host`` or ``host:port`` of a URL."""
    try:
        parts = urlsplit(url)
        return parts.netloc.rpartition("@")[2].lower() if parts.hostname else None
    except ValueError:
        return None

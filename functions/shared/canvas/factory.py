"""Builds the layers for one integration. The caller has checked whose integration it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from functions.shared.canvas import oauth
from functions.shared.canvas.authenticated import AuthenticatedCanvas
from functions.shared.canvas.client import Canvas
from functions.shared.canvas.errors import LmsConnectionNotFound
from functions.shared.canvas.tokens import Rpc, TokenStore
from functions.shared.canvas.transport import Counters, Transport
from functions.shared.clock import Clock
from functions.shared.crypto import Envelope
from functions.shared.http import Http
from functions.shared.settings import Settings

SECRET_FIELD = "oauth_client_secret"  # noqa: S105 (the field's name, which its envelope is bound to)
CONNECTION_COLUMNS = "id,instance_domain,oauth_client_id,status,provider"


@dataclass(frozen=True)
class CanvasFactory:
    """The parts of every Canvas client of this process. ``rpc`` calls database functions as the service."""

    settings: Settings
    http: Http
    crypto: Envelope
    clock: Clock
    rpc: Rpc
    sleep: Callable[[float], None] | None = None  # how a job waits: it ends when the job is cancelled

    def installation(self, connection: Mapping[str, Any]) -> oauth.Installation:
        """The host and our developer key there, from a row of lms_connections (``CONNECTION_COLUMNS``).

        :raise LmsConnectionNotFound: the installation is disabled, or has no client id or secret
        """
        if connection["status"] != "active" or connection["provider"] != "canvas":
            raise LmsConnectionNotFound
        sealed = self.rpc("svc_get_lms_secret", {"p_lms_connection_id": connection["id"]})
        if not connection["oauth_client_id"] or not sealed:
            raise LmsConnectionNotFound(
                "This Canvas installation is not set up completely.", hint="Ask an administrator to finish it."
            )
        return oauth.Installation(
            base_url=oauth.base_url(connection["instance_domain"], local=self.settings.is_local),
            client_id=connection["oauth_client_id"],
            client_secret=self.crypto.decrypt(sealed, row_id=connection["id"], field=SECRET_FIELD),
        )

    def transport(self, installation: oauth.Installation, *, total_seconds: float | None = None) -> Transport:
        """HTTP to an installation, without tokens.

        :param total_seconds: for all calls together, where a person waits (``PERSON_SECONDS``); None in a job
        """
        return Transport(
            self.http,
            installation.base_url,
            self.settings.canvas_give_up_seconds,
            Counters(),
            self.sleep or self.clock.sleep,
            self.clock.monotonic,
            total_seconds,
        )

    def tokens(self, installation: oauth.Installation, integration_id: str, transport: Transport) -> TokenStore:
        """The stored tokens of an integration."""
        return TokenStore(
            self.rpc,
            self.crypto,
            integration_id,
            lambda refresh_token: oauth.refresh(transport, installation, refresh_token),
            self.sleep or self.clock.sleep,
            self.clock.monotonic,
        )

    def canvas(self, connection: Mapping[str, Any], integration_id: str) -> Canvas:
        """Canvas in the name of the integration's owner.

        :raise LmsConnectionNotFound: the installation is disabled
        """
        installation = self.installation(connection)
        transport = self.transport(installation)
        return Canvas(AuthenticatedCanvas(transport, self.tokens(installation, integration_id, transport)))

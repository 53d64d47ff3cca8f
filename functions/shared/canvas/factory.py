"""Builds the layers for one integration. The caller has checked whose integration it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from functions.shared.canvas import oauth
from functions.shared.canvas.authenticated import AuthenticatedCanvas
from functions.shared.canvas.client import Canvas
from functions.shared.canvas.errors import LmsConnectionNotFound, SchoolSecretUnreadable
from functions.shared.canvas.throttle import Slots, slots_of
from functions.shared.canvas.tokens import Rpc, TokenStore
from functions.shared.canvas.transport import Counters, Transport
from functions.shared.clock import Clock
from functions.shared.crypto import DecryptionFailed, Envelope
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

    def origin(self, connection: Mapping[str, Any]) -> str:
        """Scheme, host and port of an installation, from a row of lms_connections (``CONNECTION_COLUMNS``).

        :raise LmsConnectionNotFound: the installation is not active
        """
        if connection["status"] != "active" or connection["provider"] != "canvas":
            raise LmsConnectionNotFound
        return oauth.base_url(connection["instance_domain"], local=self.settings.is_local)

    def installation(self, connection: Mapping[str, Any]) -> oauth.Installation:
        """The host and our developer key there.

        :raise LmsConnectionNotFound: the installation is not active, or has no client id or secret
        :raise SchoolSecretUnreadable: no listed key opens the secret
        """
        base_url = self.origin(connection)
        sealed = self.rpc("svc_get_lms_secret", {"p_lms_connection_id": connection["id"]})
        if not connection["oauth_client_id"] or not sealed:
            raise LmsConnectionNotFound(
                "This Canvas installation is not set up completely.", hint="Ask an administrator to finish it."
            )
        try:
            client_secret = self.crypto.decrypt(sealed, row_id=connection["id"], field=SECRET_FIELD)
        except DecryptionFailed as error:
            raise SchoolSecretUnreadable from error
        return oauth.Installation(base_url, connection["oauth_client_id"], client_secret)

    def transport(self, base_url: str, *, total_seconds: float | None = None, slots: Slots | None = None) -> Transport:
        """HTTP to an installation, without tokens.

        :param total_seconds: for all calls together, where a person waits (``PERSON_SECONDS``); None in a job
        :param slots: of the access token that will be used, which other clients use, too
        """
        return Transport(
            self.http,
            base_url,
            self.settings.canvas_give_up_seconds,
            Counters(),
            self.sleep or self.clock.sleep,
            self.clock.monotonic,
            total_seconds,
            slots,
        )

    def tokens(self, connection: Mapping[str, Any], integration_id: str, transport: Transport) -> TokenStore:
        """The stored tokens of an integration. Our developer key is read for a refresh only, so other calls work
        without one, as with a personal access token.
        """
        return TokenStore(
            self.rpc,
            self.crypto,
            integration_id,
            lambda refresh_token: oauth.refresh(transport, self.installation(connection), refresh_token),
            self.sleep or self.clock.sleep,
            self.clock.monotonic,
        )

    def canvas(
        self, connection: Mapping[str, Any], integration_id: str, *, total_seconds: float | None = None
    ) -> Canvas:
        """Canvas in the name of the integration's owner. All clients of one integration share its throttle.

        :param total_seconds: see :meth:`transport`
        :raise LmsConnectionNotFound: the installation is not active
        """
        slots = slots_of(integration_id)
        transport = self.transport(self.origin(connection), total_seconds=total_seconds, slots=slots)
        return Canvas(AuthenticatedCanvas(transport, self.tokens(connection, integration_id, transport)))

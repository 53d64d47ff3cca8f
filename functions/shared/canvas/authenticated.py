"""Requests in a person's name: adds the access token, and refreshes it when Canvas rejects it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from functions.shared.canvas.errors import ReauthorizationRequired
from functions.shared.canvas.tokens import TokenStore
from functions.shared.canvas.transport import Page, Query, TokenRejected, Transport

T = TypeVar("T")

# for one request: the known token, one that another process fetched meanwhile, our refresh, and one more
MAX_TOKENS = 4


class AuthenticatedCanvas:
    """Canvas as one person uses it."""

    def __init__(self, transport: Transport, tokens: TokenStore) -> None:
        self.transport = transport
        self._tokens = tokens

    def get(self, path: str, query: Query | None = None) -> Any:
        """As :meth:`Transport.get`.

        :raise ReauthorizationRequired: Canvas no longer accepts the grant
        """
        return self._with_token(lambda token: self.transport.get(path, token, query))

    def page(self, url: str) -> Page:
        """As :meth:`Transport.page`.

        :raise ReauthorizationRequired: Canvas no longer accepts the grant
        """
        return self._with_token(lambda token: self.transport.page(url, token))

    def _with_token(self, call: Callable[[str], T]) -> T:
        token = self._tokens.current()
        for _ in range(MAX_TOKENS - 1):
            try:
                return call(token.access_token)
            except TokenRejected:
                token = self._tokens.replace(token)
        try:
            return call(token.access_token)
        except TokenRejected as error:
            raise ReauthorizationRequired from error

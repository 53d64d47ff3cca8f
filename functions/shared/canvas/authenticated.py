"""Requests in a person's name: adds the bearer, and answers a dead token with one refresh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from functions.shared.canvas.errors import ReauthorizationRequired
from functions.shared.canvas.tokens import TokenStore
from functions.shared.canvas.transport import Page, Query, TokenRejected, Transport

T = TypeVar("T")

MOST_TOKENS = 4  # tried for one request: ours, one that somebody else fetched meanwhile, our refresh, one more


class AuthenticatedCanvas:
    """One person at one Canvas."""

    def __init__(self, transport: Transport, tokens: TokenStore) -> None:
        self.transport = transport
        self._tokens = tokens

    def get(self, path: str, query: Query | None = None) -> Any:
        """As :meth:`Transport.get`.

        :raise ReauthorizationRequired: the grant is dead
        """
        return self._with_token(lambda token: self.transport.get(path, token, query))

    def page(self, url: str) -> Page:
        """As :meth:`Transport.page`.

        :raise ReauthorizationRequired: the grant is dead
        """
        return self._with_token(lambda token: self.transport.page(url, token))

    def _with_token(self, call: Callable[[str], T]) -> T:
        token = self._tokens.current()
        for _ in range(MOST_TOKENS - 1):
            try:
                return call(token.access_token)
            except TokenRejected:
                token = self._tokens.replace(token)
        try:
            return call(token.access_token)
        except TokenRejected as error:
            raise ReauthorizationRequired from error

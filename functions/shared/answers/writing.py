"""Writes into a stream as its only writer, even when answers of the database are lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from postgrest import SyncPostgrestClient

from functions.shared.clock import Clock
from functions.shared.database import rpc
from functions.shared.errors import Unavailable
from functions.shared.retries import Backoff, retried

MAX_ATTEMPTS = 3
BACKOFF = Backoff(first_seconds=0.2, max_seconds=0.4)

Part = Mapping[str, Any]


class Superseded(Exception):
    """The stream was ended or taken over by another process."""


class StreamWriter:
    """Appends parts to one stream.

    :param seq: the number of the last event, which proves that this is the current writer
    """

    def __init__(self, service: SyncPostgrestClient, clock: Clock, stream_id: str, seq: int = 0) -> None:
        self._service = service
        self._clock = clock
        self._stream_id = stream_id
        self.seq = seq

    def append(self, parts: Sequence[Part]) -> None:
        """Stores parts, so that they can be read.

        :raise Superseded: somebody else wrote since
        :raise Unavailable: the database does not answer
        """
        args = {"p_stream_id": self._stream_id, "p_from_seq": self.seq + 1, "p_parts": list(parts)}
        last, called_again = self.call("svc_append_generation", args)
        if last is None and called_again and [row["part"] for row in self._after()] == list(parts):
            # the answer was lost, the write was not
            last = self.seq + len(parts)
        if last is None:
            raise Superseded
        self.seq = last

    def is_current(self) -> bool:
        """Whether nobody else wrote since."""
        return not self._after()

    def call(self, name: str, args: Mapping[str, Any]) -> tuple[Any, bool]:
        """The answer of a function that takes effect once, and whether an earlier answer may have been lost.

        :raise Unavailable: the database does not answer
        """
        failed = 0

        def pause(_: Unavailable, failures: int) -> float | None:
            nonlocal failed
            failed = failures
            return None if failures == MAX_ATTEMPTS else BACKOFF.seconds(failures)

        answer = retried(lambda: rpc(self._service, name, args), on=Unavailable, pause=pause, sleep=self._clock.sleep)
        return answer, failed > 0

    def _after(self) -> list[dict[str, Any]]:
        args = {"p_stream_id": self._stream_id, "p_after_seq": self.seq}
        return list(rpc(self._service, "svc_read_generation", args, safe=True))

"""The events of a stream. ``web/streams.py`` sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Event:
    """One event. ``seq`` increases within its stream, and ``data`` has a ``type``."""

    seq: int
    data: Mapping[str, Any]


class Batch(NamedTuple):
    """What one read of the stored events found.

    ``ended`` means that no event will follow: the last one is among these or was delivered before.
    """

    events: Sequence[Event]
    ended: bool

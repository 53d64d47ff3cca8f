"""What an event stream is made of; ``web/streams.py`` sends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Event:
    """One event. ``seq`` counts up within its stream; ``data`` has a ``type``."""

    seq: int
    data: Mapping[str, Any]


class Batch(NamedTuple):
    """What one look into the store found.

    ``ended`` says that nothing will ever follow: the terminal event is among these events or was delivered before.
    """

    events: Sequence[Event]
    ended: bool

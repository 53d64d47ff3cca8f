"""Whether the OpenAPI document names every error that the functions answered, by their log."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def undocumented(log: str, spec: Mapping[str, Any]) -> list[str]:
    """``<method> <route> <status> <code>`` of every answer in a log that its operation does not name.

    :param log: JSON lines of the functions; other lines are passed over
    :param spec: the OpenAPI document; routes that it does not list are passed over
    """
    found: set[str] = set()
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict) or entry.get("event") != "request" or entry.get("error_code") is None:
            continue
        path = re.sub(r"<(?:[a-z]+:)?(\w+)>", r"{\1}", entry["route"])
        operation = spec["paths"].get(path, {}).get(entry["method"].lower())
        if operation is None:
            continue
        answer = operation["responses"].get(str(entry["status"]), {})
        if entry["error_code"] not in answer.get("content", {}).get("application/json", {}).get("examples", {}):
            found.add(f"{entry['method']} {entry['route']} {entry['status']} {entry['error_code']}")
    return sorted(found)

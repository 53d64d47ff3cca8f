"""Asks the database, which alone decides what a person may find, and adds the links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from functions.shared.database import Database, rpc, run
from functions.shared.settings import Settings
from functions.shared.tokens import Caller

MAX_QUERY_CHARACTERS = 10_000  # what is sent; the database reads the first 2000


class SearchService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def search(
        self,
        caller: Caller,
        query: str,
        catalog_course_ids: Sequence[str] | None,
        kinds: Sequence[str] | None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """The best fragments of the caller's material, best first, each with a ``link`` to its page or second.

        An empty or odd query finds nothing.
        """
        user = self._database.user(caller.token)
        args = {
            "p_query": query[:MAX_QUERY_CHARACTERS],
            "p_catalog_course_ids": catalog_course_ids,
            "p_kinds": kinds,
            "p_limit": limit,
        }
        rows = [dict(row) for row in rpc(user, "search_material", args, safe=True)]
        viewers = self._viewers(caller, {row["source_id"] for row in rows if row["kind"] == "lecture"})
        for row in rows:
            row["text"] = row.pop("content")
            row["link"] = self._link(row, viewers)
        return rows

    def _viewers(self, caller: Caller, lectures: set[str]) -> Mapping[str, str]:
        """The pages of these lectures at Panopto, by id."""
        if not lectures:
            return {}
        query = self._database.user(caller.token).from_("lectures").select("id,panopto_url")
        return {row["id"]: row["panopto_url"] for row in run(query.in_("id", sorted(lectures)))}

    def _link(self, row: Mapping[str, Any], viewers: Mapping[str, str]) -> str | None:
        """Where the place opens. None for a teacher's source, which has no page of its own in the front end."""
        if row["kind"] == "document":
            page = f"#page={row['page_start']}" if row["page_start"] else ""
            return f"{self._settings.frontend_url}/documents/{quote(row['source_id'])}{page}"
        viewer = viewers.get(row["source_id"]) if row["kind"] == "lecture" else None
        if viewer is None or row["start_second"] is None:
            return viewer
        return f"{viewer}{'&' if urlsplit(viewer).query else '?'}start={int(row['start_second'])}"

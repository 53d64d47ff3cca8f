"""Asks the database, which alone decides what a person may find, and adds the links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from functions.shared.clock import Clock
from functions.shared.database import Database, rpc, run
from functions.shared.llm.embeddings import query_vector
from functions.shared.settings import Settings
from functions.shared.tokens import Caller

MAX_QUERY_CHARACTERS = 10_000  # what is sent; the database reads the first 2000


class SearchService:
    """What the routes call. It knows nothing of HTTP."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock

    def search(
        self,
        caller: Caller,
        query: str,
        catalog_course_ids: Sequence[str] | None,
        kinds: Sequence[str] | None,
        limit: int,
    ) -> tuple[list[dict[str, Any]], str]:
        """The best fragments of the caller's material, best first, each with a ``link`` to its page or second.

        An empty or odd query finds nothing. Beside them stands the mode: ``hybrid`` when meanings were compared, too.
        """
        service = self._database.service()
        vector = query_vector(self._settings, service, self._clock, caller.user_id, query)
        args = {
            "p_user_id": caller.user_id,
            "p_query": query[:MAX_QUERY_CHARACTERS],
            "p_catalog_course_ids": catalog_course_ids,
            "p_kinds": kinds,
            "p_limit": limit,
            **vector,
        }
        rows = [dict(row) for row in rpc(service, "svc_search_material", args, safe=True)]
        mode = {row.pop("mode") for row in rows}
        viewers = self._viewers(caller, {row["source_id"] for row in rows if row["kind"] == "lecture"})
        for row in rows:
            row["text"] = row.pop("content")
            row["link"] = self._link(row, viewers)
        return rows, mode.pop() if mode else "lexical"

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

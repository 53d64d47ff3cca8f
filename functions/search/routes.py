"""The route of this service."""

from __future__ import annotations

from apiflask import APIBlueprint

from functions.search.schemas import Place, SearchAnswer, SearchRequest
from functions.search.service import SearchService
from functions.shared.web.callers import current_caller
from functions.shared.web.context import context
from functions.shared.web.operations import Outcome, operation
from functions.shared.web.rate_limits import rate_limited

blueprint = APIBlueprint(
    "search",
    __name__,
    tag={"name": "search", "description": "Finds the page and the second in one's own documents and lectures."},
)


@blueprint.post("")
@operation("Search your material", {200: Outcome("The best places, best first.", SearchAnswer)})
@rate_limited("search", limit=120)
@blueprint.input(SearchRequest, arg_name="body")
def search(body: SearchRequest) -> SearchAnswer:
    """Searches your own documents, the lectures you follow and, as a teacher, your own sources.

    Words are joined by OR, `"a phrase"` must occur, and `-word` must not. An empty or odd query gives an empty list.
    """
    courses = body.catalog_course_ids
    parts = context()
    rows, mode = SearchService(parts.settings, parts.database, parts.clock).search(
        current_caller(),
        body.query,
        None if courses is None else [str(course) for course in courses],
        body.kinds,
        body.limit,
    )
    return SearchAnswer(results=[Place(**row) for row in rows], mode=mode)

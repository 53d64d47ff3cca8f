"""The handler of ``catalog_sync`` jobs. Payload: ``{"terms"?: [...], "dry_run"?: bool, "confirm_removals"?: bool}``.

The schedule's payload is empty: the terms of the settings, for real, with every guard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from postgrest import SyncPostgrestClient

from functions.catalog_sync.errors import CatalogBadAnswer, CatalogGuard, CatalogUnavailable
from functions.catalog_sync.merging import Merged, merge
from functions.catalog_sync.reading import Section, read_term
from functions.shared.database import rpc, rpc_row, run
from functions.shared.errors import Unavailable
from functions.shared.fetch import Fetcher
from functions.shared.jobs import HandlerRegistry, JobContext, JobFailure

CODES_A_CALL = 5000
CODES_A_QUERY = 50
MAX_SKIPPED = 500
COUNTS = ("inserted", "updated", "unchanged", "restored", "retired", "deleted")
NOT_CONFIGURED = "CATALOG_URL or CATALOG_TERMS is not set, so nothing was done."


def register(registry: HandlerRegistry) -> None:
    """Registers this service's jobs with the worker."""
    registry.add("catalog_sync", sync)


def sync(context: JobContext) -> Mapping[str, Any]:
    """Makes the official courses equal to the school's list. The answer is the job's ``result``, a ``CatalogResult``.

    :raise JobFailure: ``catalog_unavailable``, ``catalog_bad_answer`` or ``catalog_guard``; nothing was changed
    """
    try:
        return _sync(context)
    except Unavailable as error:
        raise JobFailure("service_unavailable", error.message, retryable=True) from error
    except CatalogUnavailable as error:
        raise JobFailure(error.code, error.message, retryable=True, detail=str(error.details)) from error
    except (CatalogBadAnswer, CatalogGuard) as error:
        raise JobFailure(error.code, error.message, retryable=False, detail=str(error.details)) from error


def _sync(context: JobContext) -> dict[str, Any]:
    payload, settings = context.job.payload, context.settings
    terms = list(payload.get("terms") or settings.catalog_terms)
    dry_run = bool(payload.get("dry_run"))
    if settings.catalog_url is None or not terms:
        return _result([], Merged(), dict.fromkeys(COUNTS, 0), dry_run=dry_run, note=NOT_CONFIGURED)
    sections = _read(context, settings.catalog_url, terms)
    service = context.database.service()
    merged = merge(sections, _codes(service, {section.code for section in sections}))
    args = {
        "p_courses": merged.courses + _as_they_are(service, merged.untitled),
        "p_confirm_removals": bool(payload.get("confirm_removals")),
        "p_dry_run": dry_run,
    }
    context.check_cancelled()
    # safe: a second run finds everything as the first one left it
    found = rpc_row(service, "svc_replace_catalog", args, safe=True)
    if found["refused"]:
        raise CatalogGuard(_what_is_missing(found), details=found)
    return _result(terms, merged, found, dry_run=dry_run)


def _read(context: JobContext, url: str, terms: list[str]) -> list[Section]:
    """The sections of every term. A term that cannot be read, or lists nothing, ends the run."""
    fetcher = Fetcher.of(context.settings)
    sections: list[Section] = []
    for done, term in enumerate(terms):
        context.progress({"terms_done": done, "terms_total": len(terms)})
        context.check_cancelled()
        found = read_term(fetcher, url, term, seconds=context.remaining_seconds())
        if not any(section.code and section.title for section in found):
            raise CatalogGuard(f"The school lists no course for the term {term}, so nothing was changed.", details=term)
        sections += found
    context.progress({"terms_done": len(terms), "terms_total": len(terms)})
    return sections


def _codes(service: SyncPostgrestClient, written: set[str]) -> dict[str, str]:
    """The database's spelling of each code."""
    spelt: dict[str, str] = {}
    for part in _parts(sorted(written), CODES_A_CALL):
        spelt |= zip(part, rpc(service, "svc_normalize_course_codes", {"p_codes": part}, safe=True), strict=True)
    return spelt


def _as_they_are(service: SyncPostgrestClient, codes: list[str]) -> list[dict[str, Any]]:
    """Official courses that are still listed, but without a title that can be used: they stay as they are."""
    kept: list[dict[str, Any]] = []
    for part in _parts(codes, CODES_A_QUERY):
        query = service.from_("catalog_courses").select("code,title").in_("code", part)
        kept += run(query.eq("is_official", True).is_("retired_at", "null"))
    return kept


def _parts(items: Iterable[str], size: int) -> Iterator[list[str]]:
    known = list(items)
    return (known[start : start + size] for start in range(0, len(known), size))


def _what_is_missing(found: Mapping[str, Any]) -> str:
    names = ", ".join(str(department["department"]) for department in found["departments"])
    where = f", more than half of {names}" if names else ""
    message = f"The school's list lacks {found['missing']} of {found['live']} courses{where}, so nothing was changed."
    return f"{message[:400]} Check the list, then run again with confirm_removals."


def _result(
    terms: list[str], merged: Merged, counts: Mapping[str, Any], *, dry_run: bool, note: str | None = None
) -> dict[str, Any]:
    """A ``CatalogResult``."""
    return {
        "terms": terms,
        "seen": len(merged.courses),
        **{name: counts[name] for name in COUNTS},
        "skipped": [skipped.as_dict() for skipped in merged.skipped[:MAX_SKIPPED]],
        "skipped_count": len(merged.skipped),
        "dry_run": dry_run,
        "note": note,
    }

"""What happened in a week, as the rows that say so. Prompts are made of it; brand packages may name nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from postgrest import SyncPostgrestClient

from functions.programme.errors import WeekArchived
from functions.shared.database import run
from functions.shared.markup.text import visible

MAX_ROWS = 20
MAX_FACT_CHARACTERS = 1500
MAX_PAST_WEEKS = 3


class Fact(NamedTuple):
    """A row of a week in words. ``url`` is a public address that belongs to it."""

    table: str
    id: str
    text: str
    urls: tuple[str, ...] = ()

    @property
    def source(self) -> dict[str, str]:
        """The row, as brand packages name it."""
        return {"table": self.table, "id": self.id}


def own_week(service: SyncPostgrestClient, week_id: str | None, user_id: str | None) -> dict[str, Any] | None:
    """A person's week, to which something is to be added; None when it is gone.

    :raise WeekArchived: nothing is added to it any more
    """
    query = service.from_("weeks").select("*").eq("id", week_id).eq("user_id", user_id)
    rows = run(query.limit(1))
    if rows and rows[0]["status"] == "archived":
        raise WeekArchived
    return dict(rows[0]) if rows else None


def facts_of(service: SyncPostgrestClient, week: Mapping[str, Any]) -> list[Fact]:
    """Everything that is known about a week that the caller has checked: its own row first, then what belongs to it."""
    tables = ("clo_notes", "engineer_notes", "reviews", "socratic_sessions", "kpi_metrics")
    found = [_fact("weeks", week, _week(week))]
    for table in tables:
        order = "recorded_at" if table == "kpi_metrics" else "created_at"
        rows = run(service.from_(table).select("*").eq("week_id", week["id"]).order(order, desc=True).limit(MAX_ROWS))
        found += _of_table(table, rows)
    return found


def past_weeks(service: SyncPostgrestClient, week: Mapping[str, Any]) -> list[list[Fact]]:
    """The facts of the person's weeks before this one, the nearest first."""
    query = service.from_("weeks").select("*").eq("user_id", week["user_id"]).lt("week_number", week["week_number"])
    rows = run(query.order("week_number", desc=True).limit(MAX_PAST_WEEKS))
    return [facts_of(service, row) for row in rows]


def _of_table(table: str, rows: list[dict[str, Any]]) -> list[Fact]:
    match table:
        case "clo_notes":
            return [_fact(table, row, _clo(row), _answering(row["resources"])) for row in rows]
        case "engineer_notes":
            return [_fact(table, row, _engineer(row), [row["repository_url"]]) for row in rows]
        case "reviews":
            done = [row for row in rows if row["status"] == "completed" and row["result_json"]]
            return [_fact(table, row, _review(row), [row["github_url"]]) for row in done]
        case "socratic_sessions":
            return [_fact(table, row, _session(row)) for row in rows if row["ended_at"]]
        case _:
            newest = {row["metric_name"]: row for row in reversed(rows)}
            return [_fact(table, row, _kpi(row)) for _, row in sorted(newest.items())]


def _fact(table: str, row: Mapping[str, Any], text: str, urls: list[str | None] | None = None) -> Fact:
    clean = " ".join(visible(text).split())[:MAX_FACT_CHARACTERS]
    return Fact(table, str(row["id"]), clean, tuple(url for url in urls or () if url))


def _answering(resources: list[dict[str, Any]]) -> list[str | None]:
    return [one.get("url") for one in resources if isinstance(one, dict)]


def _week(row: Mapping[str, Any]) -> str:
    hours = "" if row["actual_hours"] is None else f" Hours worked: {row['actual_hours']}."
    planned = "" if row["estimated_hours"] is None else f" Hours planned: {row['estimated_hours']}."
    return (
        f"Week {row['week_number']}, {row['start_date']} to {row['end_date']}, {row['status']}. "
        f"Focus: {row['focus_area'] or 'none given'}.{planned}{hours} Done: {row['completion_percentage']} %."
    )


def _clo(row: Mapping[str, Any]) -> str:
    read = "read" if row["read_at"] else "not read yet"
    return (
        f"Learning notes ({read}): {row['module_title']}. Objectives: {'; '.join(row['learning_objectives'])}. "
        f"Concepts: {', '.join(row['key_concepts'])}."
    )


def _engineer(row: Mapping[str, Any]) -> str:
    score = "" if row["code_quality_score"] is None else f" Code quality: {row['code_quality_score']} of 100."
    return (
        f"Code notes:{score} Done well: {'; '.join(row['best_practices_followed']) or 'nothing named'}. "
        f"To improve: {'; '.join(row['areas_for_improvement']) or 'nothing named'}. {row['analysis_summary'] or ''}"
    )


def _review(row: Mapping[str, Any]) -> str:
    result = row["result_json"]
    return f"Code review of {row['github_url']}: score {result.get('score')} of 100. {result.get('summary') or ''}"


def _session(row: Mapping[str, Any]) -> str:
    insights = "; ".join(row["insights_generated"]) or "none"
    return f"Dialogue on {row['topic']}, {row['total_questions']} questions. Insights: {insights}."


def _kpi(row: Mapping[str, Any]) -> str:
    # numeric columns come as numbers of JSON: 4.0 is said as 4
    value = f"{row['current_value']:g}"
    return f"{row['metric_name'].replace('_', ' ')}: {value} {row['unit'] or ''}"

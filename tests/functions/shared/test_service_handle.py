"""The handles past row level security, of database and Storage, are used in the listed modules and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

REPO = Path(__file__).parents[3]

# each checks the caller's ownership before it asks, or works for no caller at all
ALLOWED = {
    "functions/canvas_oauth/jobs.py",
    "functions/canvas_oauth/routes.py",
    "functions/canvas_oauth/service.py",
    "functions/canvas_sync/jobs.py",
    "functions/canvas_sync/scheduled.py",
    "functions/canvas_sync/service.py",
    "functions/chat/canvas.py",
    "functions/chat/generating.py",
    "functions/chat/jobs.py",
    "functions/chat/material.py",
    "functions/chat/reading.py",
    "functions/chat/routes.py",
    "functions/chat/service.py",
    "functions/chat/sources.py",
    "functions/documents/cleanup.py",
    "functions/documents/ingest.py",
    "functions/documents/routes.py",
    "functions/documents/service.py",
    "functions/catalog_sync/jobs.py",
    "functions/catalog_sync/service.py",
    "functions/headstart/jobs.py",
    # the assignment and the settings of the owner of the job
    "functions/headstart/material.py",
    "functions/headstart/service.py",
    # whose assignment it is, is asked by the function that starts a headstart
    "functions/headstart/triggers.py",
    # the owner of a stream is checked before it is followed, and by the answer before it is written
    "functions/shared/agents.py",
    "functions/shared/answers/reading.py",
    "functions/shared/answers/run.py",
    "functions/lectures/jobs.py",
    "functions/lectures/service.py",
    "functions/lectures/work.py",
    "functions/programme/reviews/service.py",
    "functions/programme/reviews/work.py",
    # a launch has no caller yet; what it may see is decided by the platform's signature
    "functions/lti/accounts.py",
    "functions/lti/routes.py",
    "functions/lti/service.py",
    # the launch is the caller's own, and they teach its course now
    "functions/lti/course_launches.py",
    # for administrators, whom the route admits; and for a platform, whose request waits for them
    "functions/lti/administration.py",
    "functions/lti/registration.py",
    "functions/lti/deep_linking.py",
    "functions/lti/grades.py",
    "functions/lti/names_and_roles.py",
    "functions/lti/platform_tokens.py",
    # the functions look among the caller's own weeks; the jobs work on everybody's
    "functions/programme/brand.py",
    "functions/programme/calendar.py",
    "functions/programme/notes.py",
    "functions/programme/service.py",
    # svc_search_material searches for the caller alone; the job embeds everybody's fragments
    "functions/search/jobs.py",
    "functions/search/service.py",
    # its callers check whose file it is
    "functions/shared/uploads.py",
    # records the calls of a job or request, whoever they are for
    "functions/shared/llm/ledger.py",
    "functions/shared/web/idempotency.py",
    "functions/shared/web/rate_limits.py",
    "functions/socratic/insights.py",
    "functions/socratic/jobs.py",
    "functions/socratic/routes.py",
    "functions/socratic/service.py",
    "functions/socratic/voice.py",
    "functions/tutoring/generation/service.py",
    "functions/tutoring/generation/writing.py",
    "functions/tutoring/jobs.py",
    # the question says whose it is; svc_begin, stop and escalate_question look among the caller's own
    "functions/tutoring/questions/answering.py",
    "functions/tutoring/questions/service.py",
    "functions/tutoring/service.py",
    # the session is the caller's own, which the database says
    "functions/tutoring/sessions/service.py",
    "functions/tutoring/sessions/summarising.py",
    "functions/worker/queue.py",
}


def uses(source: str) -> bool:
    """Whether code takes the service handle or Storage, by call or by name, or reads the secret key itself."""
    return any(
        (isinstance(node, ast.Attribute) and node.attr in ("service", "supabase_secret_key", "storage"))
        or (isinstance(node, ast.ImportFrom) and node.module == "functions.shared.storage")
        or (isinstance(node, ast.Constant) and node.value == "supabase_secret_key")
        for node in ast.walk(ast.parse(source))
    )


def test_the_scan_sees_every_way_to_the_handle() -> None:
    assert uses("database.service()")
    assert uses("make = context().database.service")
    assert uses("settings.supabase_secret_key")
    assert uses("getattr(settings, 'supabase_secret_key')")
    assert uses("from functions.shared.storage import Storage")
    assert uses("context().storage.signed_url('documents', 'x', 300)")
    assert not uses("database.user(token)")


def test_only_listed_modules_use_it() -> None:
    # the modules of the two handles, the part that makes them, the checks of the key, and the reader of the settings
    home = {
        "functions/shared/database.py",
        "functions/shared/settings.py",
        "functions/shared/storage.py",
        "functions/shared/web/callers.py",
        "functions/shared/web/context.py",
    }
    found = {
        str(file.relative_to(REPO))
        for file in (REPO / "functions").rglob("*.py")
        if uses(file.read_text()) and str(file.relative_to(REPO)) not in home
    }
    assert found == {module for module in ALLOWED if (REPO / module).exists()}

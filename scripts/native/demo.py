"""``./scripts/demo``: the story from nothing.

A student signs up, connects Canvas, syncs, gets a headstart, submits a lecture, practises, asks, plans a week, has code
reviewed and talks with the Socratic agent. A tutor corrects the summary of a session, and a parent reads it. Then a
teacher launches from Canvas, asks the assistant, and has a quiz written out of a page. Everything is real except what
is not at hand: without OPENAI_API_KEY a scripted model answers, and Canvas, Panopto and GitHub are stand-ins. All are
announced. The browser's part (pressing "Authorize" in Canvas) is played over HTTP.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from supabase import Client, ClientOptions, create_client

from scripts.native import arguments, paths
from scripts.native.cli import FAILURES, ending_in_good_order, watch
from scripts.native.demo_deck import DeckFailed, deck
from scripts.native.demo_launch import LaunchFailed, launch_teacher
from scripts.native.demo_materials import MaterialsFailed, materials
from scripts.native.demo_practice import practise
from scripts.native.demo_question import QuestionFailed, question
from scripts.native.demo_quiz import QuizFailed, quiz
from scripts.native.demo_review import ReviewFailed, review
from scripts.native.demo_sessions import SessionFailed, sessions
from scripts.native.demo_socratic import talk
from scripts.native.demo_week import WeekFailed, week
from scripts.native.keys import Keys
from scripts.native.school import put_secret
from scripts.native.stack import Options, Stack
from tests.standins.canvas import CLIENT_ID, CLIENT_SECRET, CanvasStandIn

PASSWORD = "correct-horse-7"  # noqa: S105  of an account that lives as long as the demo
CANVAS_SEED = 2026
MAX_WAIT_SECONDS = 120.0


class DemoFailed(RuntimeError):
    """The story broke off; the message says where and shows the answer."""


FAILED = (
    DemoFailed,
    LaunchFailed,
    MaterialsFailed,
    QuestionFailed,
    SessionFailed,
    DeckFailed,
    QuizFailed,
    ReviewFailed,
    WeekFailed,
    httpx.HTTPError,
)


def headline(text: str) -> None:
    """A new chapter."""
    print(f"\n== {text}", flush=True)


def line(text: str) -> None:
    """One thing that happened."""
    print(f"   {text}", flush=True)


@dataclass
class Student:
    """The demo's person: a supabase-py client for rows, an HTTP client for functions, both with the same token."""

    email: str
    user_id: str
    token: str
    rows: Client
    functions: httpx.Client

    def call(self, method: str, path: str, expect: int, **more: Any) -> Any:
        """Calls a function.

        :raise DemoFailed: it answered another status
        """
        answer = self.functions.request(method, path, **more)
        if answer.status_code != expect:
            raise DemoFailed(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def select(self, table: str, columns: str = "*", **equals: str) -> list[dict[str, Any]]:
        """Rows the student may see, through REST."""
        query = self.rows.table(table).select(columns)
        for column, value in equals.items():
            query = query.eq(column, value)
        return [dict(row) for row in query.execute().data]  # type: ignore[arg-type]

    def insert(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        """Adds a row through REST; the row as it is stored."""
        return dict(self.rows.table(table).insert(row).execute().data[0])  # type: ignore[arg-type]

    def rpc(self, name: str, args: Mapping[str, Any]) -> Any:
        """Calls a database function through REST."""
        return self.rows.rpc(name, dict(args)).execute().data


def register_installation(stack: Stack, host: str) -> str:
    """What an administrator does once for a school: name its Canvas and hand over the developer key's secret."""
    headers = {"apikey": stack.keys.secret_key, "Prefer": "return=representation"}
    row = {"name": "Demo High School", "instance_domain": host, "oauth_client_id": CLIENT_ID}
    url = f"{stack.url}/rest/v1/lms_connections"
    made = httpx.post(url, headers=headers, json=row, timeout=10, trust_env=False)
    if made.status_code != 201:
        raise DemoFailed(f"registering the installation answered {made.status_code}: {made.text[:500]}")
    connection = str(made.json()[0]["id"])
    put_secret(stack, connection, CLIENT_SECRET)
    return connection


@contextlib.contextmanager
def signed_up(stack: Stack, name: str = "Sam") -> Iterator[Student]:
    """A new person with their own clients."""
    email = f"{'student' if name == 'Sam' else name.lower()}-{secrets.token_hex(4)}@example.test"
    with httpx.Client(timeout=60, trust_env=False) as http:
        options = ClientOptions(httpx_client=http, auto_refresh_token=False, persist_session=False)
        client = create_client(stack.url, stack.keys.publishable_key, options)
        person = {"email": email, "password": PASSWORD, "options": {"data": {"display_name": name}}}
        answer = client.auth.sign_up(person)  # type: ignore[arg-type]
        if answer.session is None or answer.user is None:
            raise DemoFailed("the sign-up gave no session")
        token = answer.session.access_token
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=stack.functions_url, headers=headers, timeout=60, trust_env=False) as functions:
            yield Student(email, answer.user.id, token, client, functions)


def connect_canvas(student: Student, connection: str) -> str:
    """The OAuth dance, the browser's steps played over HTTP; the id of the first sync's job."""
    started = student.call("POST", "canvas-oauth/start", 200, json={"lms_connection_id": connection})
    line(f"the browser opens {started['authorize_url'].split('?')[0]} and presses Authorize")
    with httpx.Client(timeout=30, follow_redirects=False, trust_env=False) as browser:
        address = started["authorize_url"]
        for _ in range(6):
            answer = browser.get(address)
            if answer.status_code not in (302, 303):
                raise DemoFailed(f"{address.split('?')[0]} answered {answer.status_code}: {answer.text[:300]}")
            address = str(answer.url.join(answer.headers["location"]))
            fragment = parse_qs(urlsplit(address).fragment)
            if "state" in fragment:
                break
    if "code" not in fragment:
        raise DemoFailed(f"Canvas did not give a code: {sorted(fragment)}")
    body = {"state": fragment["state"][0], "code": fragment["code"][0]}
    done = student.call("POST", "canvas-oauth/complete", 200, json=body)
    line(f"integration {done['integration']['id']} is {done['integration']['status']}")
    return str(done["job_id"])


def wait_for_sync(student: Student, job: str) -> dict[str, Any]:
    """Watches the job's row, as a front end does, until it ends; the sync's result."""
    deadline, shown = time.monotonic() + MAX_WAIT_SECONDS, None
    while time.monotonic() < deadline:
        row = student.select("jobs", id=job)[0]
        progress = row["progress"] or {}
        if progress.get("courses_total") and progress != shown:
            shown = progress
            line(f"synced {progress.get('courses_done', 0)} of {progress['courses_total']} courses")
        if row["status"] == "succeeded":
            return dict(row["result"])
        if row["status"] in ("failed", "cancelled"):
            raise DemoFailed(f"the sync {row['status']}: {row['error_code']} {row['error_message']}")
        time.sleep(0.25)
    raise DemoFailed(f"the sync did not end within {MAX_WAIT_SECONDS:.0f} s")


def choose_assignment(student: Student) -> dict[str, Any]:
    """The next open assignment that is due and has a description."""
    query = student.rows.table("assignments").select("*, course:courses(name)").eq("status", "open")
    rows: list[Any] = list(query.not_.is_("description_html", "null").order("due_at").execute().data)
    if not rows:
        raise DemoFailed("Canvas has no open assignment with a description")
    now = time.strftime("%Y-%m-%dT%H:%M:%S")
    return dict(next((row for row in rows if row["due_at"] and row["due_at"] > now), rows[0]))


def headstart(student: Student, assignment_id: str) -> None:
    """Asks for a headstart and prints its text while it is written, from the database's event stream."""
    run = student.call("POST", "headstart/runs", 202, json={"assignment_id": assignment_id})
    line(f"run {run['run_id']} is {run['status']}; its text, as it is written:\n")
    with student.functions.stream("GET", f"headstart/runs/{run['run_id']}/events") as events:
        for event in events.iter_lines():
            if not event.startswith("data: ") or event == "data: [DONE]":
                continue
            data = json.loads(event.removeprefix("data: "))
            if data["type"] == "text-delta":
                print(data["delta"], end="", flush=True)
            elif data["type"] in ("error", "abort"):
                raise DemoFailed(f"the headstart ended with {data}")
    print()
    done = student.call("GET", f"headstart/runs/{run['run_id']}", 200)
    doc = student.select("headstart_docs", id=done["docs"][0]["id"])[0]
    headline(f"The headstart is {doc['status']}: {doc['title']}")
    line("plan: " + ", ".join(f"{step['step']} ({step['minutes']} min)" for step in doc["extra"]["plan"]))
    line(f"model: {done.get('model')}; metrics: {json.dumps(done.get('metrics'))}")


MATERIAL = (
    "Photosynthesis takes place in the chloroplasts. The light reaction splits water and sets oxygen free.\n\n"
    "The Calvin cycle needs no light of its own. It builds sugar from carbon dioxide with energy from light."
)
QUESTION = "How do I explain the light reaction of photosynthesis in one lesson?"


@contextlib.contextmanager
def launched(stack: Stack, connection: str) -> Iterator[Student]:
    """A teacher who came in from Canvas, with their own clients."""
    session = launch_teacher(stack, connection, line)
    with httpx.Client(timeout=60, trust_env=False) as http:
        options = ClientOptions(httpx_client=http, auto_refresh_token=False, persist_session=False)
        client = create_client(stack.url, stack.keys.publishable_key, options)
        client.auth.set_session(session.access_token, session.refresh_token)
        headers = {"Authorization": f"Bearer {session.access_token}"}
        with httpx.Client(base_url=stack.functions_url, headers=headers, timeout=60, trust_env=False) as functions:
            yield Student(session.email, session.user_id, session.access_token, client, functions)


def ready_source(teacher: Student, source: str) -> None:
    """Waits until the worker has read a source.

    :raise DemoFailed: it was not read
    """
    until = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < until:
        row = teacher.select("content_sources", "status,error_message", id=source)[0]
        if row["status"] == "ready":
            return
        if row["status"] == "failed":
            raise DemoFailed(f"the teacher's text could not be read: {row['error_message']}")
        time.sleep(0.25)
    raise DemoFailed(f"the teacher's text was not read within {MAX_WAIT_SECONDS:.0f} s")


def teach(stack: Stack, connection: str) -> None:
    """A teacher asks the assistant, which answers out of the teacher's own text."""
    headline("A teacher comes in from Canvas")
    with launched(stack, connection) as teacher:
        headline("They ask the assistant")
        source: Any = (
            teacher.rows.table("content_sources")
            .insert({"kind": "text", "title": "Photosynthesis, my notes", "text_content": MATERIAL})
            .execute()
            .data
        )
        ready_source(teacher, source[0]["id"])
        thread: Any = teacher.rows.table("threads").insert({}).execute().data
        line(f"{QUESTION}\n")
        question = {"content": QUESTION, "external_id": "demo", "content_source_ids": [source[0]["id"]]}
        path = f"chat/threads/{thread[0]['id']}/messages"
        with teacher.functions.stream("POST", path, json=question) as answer:
            for event in answer.iter_lines():
                if not event.startswith("data: {"):
                    continue
                part = json.loads(event.removeprefix("data: "))
                if part["type"] == "text-delta":
                    print(part["delta"], end="", flush=True)
                elif part["type"] in ("error", "abort"):
                    raise DemoFailed(f"the answer ended with {part}")
        print()
        row = teacher.select("messages", role="assistant")[0]
        headline(f"The answer is {row['status']}; the conversation is called {teacher.select('threads')[0]['title']!r}")
        for citation in row["citations"]:
            line(f'[{citation["number"]}] {citation["title"]}: "{citation["quote"]}"')
        quiz(teacher, headline, line)


def tell(stack: Stack) -> None:
    """The story, chapter by chapter."""
    headline("A school's Canvas is registered")
    with CanvasStandIn(seed=CANVAS_SEED) as canvas:
        line(f"no Canvas is configured: our stand-in with generated courses answers at {canvas.domain}")
        connection = register_installation(stack, canvas.domain)
        line(f"installation {connection}; its client secret is encrypted before it is stored")
        with signed_up(stack) as student:
            headline("A student signs up")
            profile = student.select("profiles")[0]
            line(f"{student.email} / {PASSWORD}, role {profile['role']}, id {student.user_id}")
            headline("They connect Canvas")
            job = connect_canvas(student, connection)
            headline("Their courses and assignments arrive")
            result = wait_for_sync(student, job)
            line(f"courses {json.dumps(result['courses'])}")
            line(f"assignments {json.dumps(result['assignments'])}; {result['requests']} requests to Canvas")
            for course in student.select("courses", "name,course_code,assignments(count)"):
                count = course["assignments"][0]["count"] if course["assignments"] else 0
                line(f"{course['course_code'] or '':12} {course['name']}: {count} assignments")
            assignment = choose_assignment(student)
            headline(f"They ask for a headstart: {assignment['title']} ({assignment['course']['name']})")
            line(f"due {assignment['due_at']}, {assignment['points_possible']} points")
            headstart(student, assignment["id"])
            materials(stack, student, headline, line)
            practise(stack.db_url, student, headline, line)
            question(stack.db_url, student, signed_up(stack), headline, line)
            week(stack, student, headline, line)
            review(stack, student, headline, line)
            talk(student, headline, line)
            with signed_up(stack, "Tutor") as tutor, signed_up(stack, "Parent") as parent:
                sessions(stack.db_url, student, tutor, parent, headline, line)
                deck(stack.db_url, student, tutor, headline, line)
            headline("What is in the database now (as the student sees it)")
            for table in (
                "integrations",
                "courses",
                "assignments",
                "headstart_runs",
                "headstart_docs",
                "lectures",
                "documents",
                "weeks",
                "reviews",
                "notifications",
            ):
                line(f"{table:16} {len(student.select(table, 'id'))} rows")
            look_around(stack, student)
        teach(stack, connection)


def look_around(stack: Stack, student: Student) -> None:
    """Where to go from here."""
    headline("Where to look (while the stack runs: ./scripts/demo --keep)")
    for name in ("SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_DB_URL", "FUNCTIONS_URL"):
        line(f"{name}={stack.exports()[name]}")
    line(f"in the browser:  {stack.functions_url}/docs (the functions' OpenAPI page)")
    line(f"the logs:        {stack.log_dir}")
    line("with supabase-js (node --input-type=module, in this folder):")
    print(
        f"""
      import {{ createClient }} from '@supabase/supabase-js'
      const client = createClient('{stack.url}', '{stack.keys.publishable_key}')
      await client.auth.signInWithPassword({{ email: '{student.email}', password: '{PASSWORD}' }})
      console.log((await client.from('headstart_docs').select('title, summary, content_md')).data)
""",
        flush=True,
    )


def main(argv: list[str]) -> int:
    """Starts the stack, tells the story, stops everything (or keeps it, with --keep)."""
    given = arguments.of_demo(argv)
    try:
        keys = Keys.kept(paths.STATE / "keys.json")
        with ending_in_good_order(), Stack(Options(keys=keys, dotenv=True)) as stack:
            tell(stack)
            if given.keep:
                headline("The stack keeps running; Ctrl-C stops everything")
                return watch(stack)
    except FAILED as failure:
        print(f"\nThe demo broke off: {failure}\nLogs: {paths.STATE / 'logs'}", file=sys.stderr)
        return 1
    except FAILURES as failure:
        print(f"\nThe stack did not start: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print("\nDone: everything is stopped, nothing is left running.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``./scripts/demo`` tells its whole story and ends well, from nothing."""

from __future__ import annotations

import re
import subprocess
import sys

from scripts.native.paths import REPO


def test_the_demo_writes_a_headstart_cites_a_source_and_finds_the_page_and_the_second() -> None:
    command = [sys.executable, "-m", "scripts.native.demo"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    asked = re.search(r"They ask for a headstart: (.+) \(", done.stdout)
    assert asked, "an assignment that came out of Canvas is named"
    assert f"# Getting started: {asked[1]}" in done.stdout, "its headstart is printed"
    assert "The headstart is ready" in done.stdout
    assert "the ticket becomes a session: teacher in Biology" in done.stdout
    assert "The answer is complete" in done.stdout
    assert '[1] Photosynthesis, my notes: "' in done.stdout, "the teacher's own text is cited"
    assert re.search(r"The quiz is a draft: .+\n.*Read, then answer", done.stdout), "a quiz is written"
    assert '[1] Inside a leaf.html: "' in done.stdout, "out of the uploaded page"
    assert "Ignore the teacher" not in done.stdout
    assert "- Explain Hash tables to somebody" in done.stdout, "notes are written"
    assert "A course that nobody has seen: no link (the link unreachable" in done.stdout
    assert re.search(r"hours_worked +1.5 of 3 hours\n", done.stdout), "the week is measured"
    assert re.search(r"linkedin +This week: .+ \[\w+\]\n", done.stdout), "a brand package names its rows"
    assert "prizes" not in done.stdout
    assert "3 questions; what they found out:" in done.stdout, "the Socratic agent asks"
    assert re.search(r"- Line \d says where you stand. \(\"", done.stdout), "insights quote the learner"
    assert "the scripted model stand-in answers" in done.stderr
    assert re.search(r"Auth: (the real server|our stand-in)", done.stderr)
    assert "no Canvas is configured" in done.stdout
    assert "Panopto: our stand-in" in done.stderr
    assert "GitHub: our stand-in" in done.stderr
    assert "1 findings of the model were dropped" in done.stdout
    assert re.search(r"critical security quiz.py:19  if eval\(", done.stdout), "a finding is put at its line"
    assert re.search(r"medium   bug      quiz.py:10  def load\(", done.stdout)
    assert re.search(r"Hash tables.pdf, page \d+: http\S+/documents/[0-9a-f-]{36}#page=\d+\n", done.stdout), done.stdout
    assert re.search(r"week 3, second \d+: http\S+/Viewer.aspx\?id=[0-9a-f-]{36}&start=\d+\n", done.stdout)
    assert "<mark>collisions</mark>" in done.stdout.lower()
    assert 'normal summary: They talked about one question. The student said: "It cancels' in done.stdout
    assert "goals: Pass physics\n   summaries: Sam explained without help why the mass cancels.\n" in done.stdout
    assert "answers they see: 0; the transcript: 404\n" in done.stdout

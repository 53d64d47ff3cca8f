"""The handler of ``code_review`` jobs: fetches a repository, reads it, asks a model, and keeps what is true.

Payload: ``{"review_id"}``. It may run twice and be killed at any line. The first attempt fixes the commit, each answer
of a model is kept until the end, and the review is written once, in one statement. The job carries no week: a week may
go while it runs, and the review stays.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from functions.programme.reviews import archive, errors, linter, rubric, selection
from functions.programme.reviews.address import read_address
from functions.programme.reviews.errors import ReviewFailure
from functions.programme.reviews.findings import MAX_FINDINGS, Finding, order, prose, verified
from functions.programme.reviews.github import Commit, GitHub
from functions.programme.reviews.notes import notes_of
from functions.programme.reviews.secret_scan import MASK
from functions.programme.reviews.shapes import CodeReview, Overview, Said
from functions.shared.agents import assign_agent
from functions.shared.children import ChildError, run_in_child
from functions.shared.database import rpc
from functions.shared.errors import AppError
from functions.shared.folders import work_folder
from functions.shared.jobs import JobCancelled, JobContext, JobFailure
from functions.shared.llm.budget import Budget
from functions.shared.llm.client import Message, ModelClient
from functions.shared.llm.errors import DeadlineExceeded, ModelError
from functions.shared.llm.ledger import Ledger
from functions.shared.llm.prompts import DataBlocks, load_prompt
from functions.shared.llm.structured import Wanted, write
from functions.shared.llm.usage import estimated_tokens, first_tokens

log = structlog.get_logger(__name__)

ARCHIVE_SECONDS, LINT_SECONDS = 120.0, 90.0
MAX_CALLS_OF_PART = 3
MAX_LINT_FINDINGS = 40
# of the model's window: for its answer; an estimate of the rest may be too low; the tree and the linter's words
ANSWER_SHARE, RESERVE_SHARE, FACTS_SHARE = 0.25, 0.2, 0.2
MAX_PARTS = {"quick": 1, "standard": 1, "deep": selection.MAX_PARTS}
# a part that a model cannot review is left out when other parts can be
SKIPPABLE = frozenset({"content_filtered", "refused", "truncated", "invalid_response", "context_too_long"})
LINT_SEVERITIES = {"E": "high", "F": "medium", "P": "high", "S": "medium", "B": "low", "C": "low"}
MAX_PRACTICES = 5
MAX_SUMMARY_CHARACTERS = 4000
MAX_KEPT_LINE_CHARACTERS = 300


class ReviewGone(Exception):
    """The review was deleted, has ended, or another worker has it: nothing is left to do."""


class Read(NamedTuple):
    """What was read of a repository: what the child said of its archive, and the folder of its texts."""

    commit: Commit
    about: Mapping[str, Any]
    folder: Path

    @property
    def files(self) -> Sequence[Mapping[str, Any]]:
        """The texts."""
        files: Sequence[Mapping[str, Any]] = self.about["files"]
        return files


class Opinion(NamedTuple):
    """What a model says of the repository."""

    said: Sequence[Said]
    good_practices: Sequence[str]
    improvements: Sequence[str]
    summary: str


def review(context: JobContext) -> Mapping[str, Any]:
    """Reviews the repository of one row. The job's result says what became of it.

    :raise JobFailure: it failed, or is tried again; the row of one that failed has the same code
    :raise JobCancelled: its owner cancelled the job
    """
    work = Review(context)
    try:
        return work.work()
    except ReviewGone:
        return {"review_id": work.review_id, "status": "gone"}
    except JobCancelled:
        work.fail("cancelled", "The review was cancelled.")
        raise
    except ReviewFailure as failure:
        raise work.failed(failure) from failure
    except ModelError as error:
        given = ReviewFailure(error.code, error.message, retryable=error.is_repeatable, retry_after=error.retry_after)
        raise work.failed(given) from error
    except JobFailure as error:
        # its own time is over
        raise work.failed(ReviewFailure(error.code, error.message, retryable=True)) from error
    except AppError as error:
        log.error("review_failed", review_id=work.review_id, error_code=error.code)
        raise work.failed(ReviewFailure(error.code, error.message, retryable=error.status >= 500)) from error


class Review:
    """One attempt at one review."""

    def __init__(self, context: JobContext) -> None:
        self.review_id = str(context.job.payload["review_id"])
        self._context = context
        self._service = context.database.service()
        self._ledger = Ledger.of_job(context, "code_review")
        self._prompt = load_prompt(Path(__file__).parent / "prompts")
        self._began = context.clock.monotonic()
        self._client = ModelClient(context.settings)

    # ---- the row ----------------------------------------------------------------------------------------------

    def call(self, name: str, **arguments: Any) -> Any:
        """Calls a function of the work under this job's lease."""
        job = self._context.job
        held = {"p_review_id": self.review_id, "p_job_id": job.job_id, "p_lease_token": job.lease_token}
        return rpc(self._service, name, held | {f"p_{key}": value for key, value in arguments.items()}, safe=True)

    def held(self, name: str, **arguments: Any) -> None:
        """The same for a write.

        :raise ReviewGone: it found nothing to write to
        """
        if not self.call(name, **arguments):
            raise ReviewGone

    def fail(self, code: str, message: str) -> None:
        """Fails the row. When the database is away, the sweep of stuck rows does it."""
        with contextlib.suppress(AppError):
            self.call("svc_fail_review", error=f"{code}: {message}")

    def failed(self, failure: ReviewFailure) -> JobFailure:
        """What the queue is told, after the row was failed if no attempt is left."""
        job = self._context.job
        again = failure.retryable and job.retry_count < job.max_retries
        if again:
            self._show("waiting", 0, 0)
        else:
            self.fail(failure.code, failure.message)
        wait = None if failure.retry_after is None else int(failure.retry_after)
        return JobFailure(failure.code, failure.message, retryable=again, retry_after_s=wait)

    # ---- the work ---------------------------------------------------------------------------------------------

    def work(self) -> Mapping[str, Any]:
        """From the row's address to its result."""
        rows = self.call("svc_begin_review")
        if not rows:
            raise ReviewGone
        row = rows[0]
        # before anything is fetched: an agent that is switched off does no work
        self._client = assign_agent(self._context, "engineer").client(self._context.settings)
        self._ledger.resume()
        with work_folder("review") as folder:
            read = self._read(row, folder)
            linted = self._lint(read)
            opinion, skipped, metrics = self._ask(read, row["depth"], linted)
            text = functools.lru_cache(maxsize=64)(functools.partial(_text_at, read))
            findings, dropped = verified(opinion.said, text)
            findings = sorted([*_secrets(read), *_lint_findings(linted, text), *findings], key=order)[:MAX_FINDINGS]
            result = self._result(read, opinion, findings, skipped)
        self._show("storing", len(read.files), len(read.files))
        latency = int((self._context.clock.monotonic() - self._began) * 1000)
        author = {"model": self._client.model, "prompt_version": self._prompt.version}
        metrics |= {"findings_dropped": dropped, **author}
        self.held(
            "svc_finish_review",
            result=result,
            metrics=self._ledger.tally.metrics(latency, metrics.pop("path", None)) | metrics,
            notes=notes_of(row["github_url"], result, opinion.good_practices, opinion.improvements) | author,
        )
        return {"review_id": self.review_id, "status": "completed", "score": result["score"]}

    def _show(self, step: str, done: int, total: int) -> None:
        self._context.progress({"step": step, "files_done": done, "files_total": total})

    def _read(self, row: Mapping[str, Any], folder: Path) -> Read:
        """Fetches the archive and reads it in a child."""
        self._show("fetching", 0, 0)
        context = self._context
        github = GitHub(context.settings, context.http, context.clock, context.check_cancelled)
        commit = github.resolve(read_address(row["github_url"]), row["commit_sha"])
        self.held("svc_note_review_commit", commit_sha=commit.sha)
        packed, texts = folder / "archive", folder / "texts"
        texts.mkdir()
        github.download(commit, packed)
        self._show("reading", 0, 0)
        try:
            about: Mapping[str, Any] = run_in_child(
                archive.read_archive,
                [str(packed), str(texts)],
                seconds=min(ARCHIVE_SECONDS, max(1.0, context.remaining_seconds())),
                max_memory_bytes=archive.MAX_MEMORY_BYTES,
                check=context.check_cancelled,
            )
        except ChildError as error:
            log.warning("archive_not_read", review_id=self.review_id, error=str(error)[:200])
            raise errors.unreadable() from error
        packed.unlink()
        match about["status"]:
            case "ok" if about["files"]:
                return Read(commit, about, texts)
            case "ok":
                raise errors.empty("The repository holds no text to review at this commit.")
            case "too_large":
                raise errors.too_large(about["reason"])
            case _:
                log.warning("archive_refused", review_id=self.review_id, reason=about["reason"])
                raise errors.unreadable()

    def _lint(self, read: Read) -> list[dict[str, Any]]:
        """What the linter says; nothing when it cannot read the files, for it only helps."""
        self._show("linting", 0, len(read.files))
        context = self._context
        try:
            found = run_in_child(
                linter.lint,
                [str(read.folder), MAX_LINT_FINDINGS],
                seconds=min(LINT_SECONDS, max(1.0, context.remaining_seconds())),
                max_memory_bytes=linter.MAX_MEMORY_BYTES,
                check=context.check_cancelled,
            )
        except ChildError as error:
            log.warning("linter_failed", review_id=self.review_id, error=str(error)[:200])
            return []
        paths = {file["name"]: file["path"] for file in read.files}
        return [one | {"path": paths[one["name"]]} for one in found]

    def _ask(
        self, read: Read, depth: str, linted: Sequence[Mapping[str, Any]]
    ) -> tuple[Opinion, list[dict[str, str]], dict[str, Any]]:
        """What the model says about the chosen files, which files it did not read, and numbers about it."""
        flagged: dict[str, int] = {}
        for one in [*linted, *read.about["secrets"]]:
            flagged[one["path"]] = flagged.get(one["path"], 0) + 1
        chosen = selection.chosen(read.files, depth, flagged)
        window = self._context.settings.model_context_tokens
        room = int(window * (1 - ANSWER_SHARE) * (1 - RESERVE_SHARE)) - estimated_tokens(self._prompt.parts["system"])
        tree = first_tokens(selection.tree(read.files), int(room * FACTS_SHARE / 2))
        divided, left = selection.parts(
            chosen,
            lambda file: selection.numbered(_text_of(read, file)),
            max(500, int(room * (1 - FACTS_SHARE))),
            MAX_PARTS[depth],
        )
        unread = {file["path"] for file in read.files} - {file["path"] for part in divided for file, _ in part}
        skipped = [{"file": name, "reason": "budget"} for name in sorted(unread)]
        rows = rpc(self._service, "svc_list_review_parts", {"p_review_id": self.review_id}, safe=True)
        kept = {row["key"]: row["result"] for row in rows}
        total, done = sum(map(len, divided)), 0
        answers: list[CodeReview] = []
        path: str | None = None
        failure: ModelError | None = None
        for part in divided:
            self._show("reviewing", done, total)
            facts = [one for one in linted if one["path"] in {file["path"] for file, _ in part}]
            try:
                answer, path = self._part(read.commit, tree, part, facts, int(room * FACTS_SHARE / 2), kept)
                answers.append(answer)
            except ModelError as error:
                if error.code not in SKIPPABLE:
                    raise
                failure = error
                skipped += [{"file": file["path"], "reason": error.code} for file, _ in part]
            done += len(part)
        self._show("reviewing", done, total)
        if failure is not None and not answers:
            raise failure
        opinion = self._overview(tree, answers, kept) if len(answers) > 1 else _opinion(answers)
        return opinion, skipped, {"path": path, "parts": len(divided), "files_read": total, "files_left": len(left)}

    def _part(
        self,
        commit: Commit,
        tree: str,
        part: Sequence[tuple[Mapping[str, Any], str]],
        facts: Sequence[Mapping[str, Any]],
        fact_tokens: int,
        kept: Mapping[str, Any],
    ) -> tuple[CodeReview, str | None]:
        """The review of one part: the answer of an earlier attempt, or a new one."""
        key = self._key(commit.sha, *(f"{file['path']}\0{text}" for file, text in part))
        if key in kept:
            return CodeReview.model_validate(kept[key]), None
        blocks = DataBlocks()
        said = "\n".join(f"{one['path']}:{one['line_start']} {one['rule']} {one['message']}" for one in facts)
        material = [blocks.rule(), blocks.block("tree", tree)]
        material += [blocks.block("linter", first_tokens(said, fact_tokens))] if said else []
        material += [
            blocks.block(f"file_{number}", f"File: {file['path']}\n{text}")
            for number, (file, text) in enumerate(part, 1)
        ]
        answer, path = self._write(CodeReview, self._prompt.parts["part"], material)
        self.held("svc_store_review_part", key=key, result=answer.model_dump())
        return answer, path

    def _overview(self, tree: str, answers: Sequence[CodeReview], kept: Mapping[str, Any]) -> Opinion:
        """One opinion out of those of the parts."""
        said = [one for answer in answers for one in answer.findings]
        texts = [
            "\n".join([answer.summary, *answer.good_practices[:MAX_PRACTICES], *answer.improvements[:MAX_PRACTICES]])
            for answer in answers
        ]
        key = self._key("overview", *texts)
        if key in kept:
            whole = Overview.model_validate(kept[key])
        else:
            blocks = DataBlocks()
            each = max(100, int(self._context.settings.model_context_tokens * 0.4 / len(texts)))
            material = [blocks.rule(), blocks.block("tree", tree)]
            material += [
                blocks.block(f"part_{number}", f"{first_tokens(text, each)}\nFindings: {len(answer.findings)}")
                for number, (answer, text) in enumerate(zip(answers, texts, strict=True), 1)
            ]
            whole, _ = self._write(Overview, self._prompt.parts["overview"], material)
            self.held("svc_store_review_part", key=key, result=whole.model_dump())
        return Opinion(said, whole.good_practices, whole.improvements, whole.summary)

    def _key(self, *texts: str) -> str:
        """Names an answer by all that it depends on."""
        asked = [self._client.model, self._prompt.hash, *texts]
        return hashlib.sha256("\0\0".join(asked).encode("utf-8", "replace")).hexdigest()

    def _write(self, shape: Any, task: str, material: Sequence[str]) -> tuple[Any, str]:
        """Asks the model, a few times if need be.

        :raise ModelError: it gave no usable answer
        """
        context, ledger = self._context, self._ledger
        deadline = context.clock.monotonic() + context.settings.model_deadline_seconds
        if context.remaining_seconds() <= 0:
            raise DeadlineExceeded()
        budget = Budget(
            ledger,
            ledger.tally.attempts + MAX_CALLS_OF_PART,
            min(deadline, context.deadline),
            check=context.check_cancelled,
        )
        messages: list[Message] = [
            {"role": "system", "content": self._prompt.parts["system"]},
            {"role": "user", "content": "\n\n".join([*material, task])},
        ]
        return write(self._client, Wanted("code_review", shape, messages), budget)

    def _result(
        self, read: Read, opinion: Opinion, findings: Sequence[Finding], skipped: Sequence[Mapping[str, str]]
    ) -> dict[str, Any]:
        files = read.files
        return {
            "commit_sha": read.commit.sha,
            "summary": prose(opinion.summary, MAX_SUMMARY_CHARACTERS),
            "score": rubric.score(
                findings, has_readme=selection.has_readme(files), has_tests=selection.has_tests(files)
            ),
            "stats": {
                "files": read.about["count"],
                "lines": sum(file["lines"] for file in files),
                "languages": read.about["languages"],
            },
            "findings": list(findings),
            "skipped": [*read.about["skipped"], *skipped][: archive.MAX_SKIPPED],
        }


def _opinion(answers: Sequence[CodeReview]) -> Opinion:
    """That of the only part, or none: a repository may hold nothing that fits a model's window."""
    if not answers:
        return Opinion([], [], [], "No file of this repository could be read by the model.")
    only = answers[0]
    return Opinion(only.findings, only.good_practices, only.improvements, only.summary)


def _text_of(read: Read, file: Mapping[str, Any]) -> str:
    path: Path = read.folder / file["name"]
    return path.read_text(encoding="utf-8")


def _text_at(read: Read, path: str) -> str | None:
    file = next((file for file in read.files if file["path"] == path), None)
    return None if file is None else _text_of(read, file)


def _secrets(read: Read) -> list[Finding]:
    """The scanner's findings. Their quotes are cut, so they are not compared with the file."""
    return [
        Finding(
            severity="critical",
            category="secret",
            file=one["path"],
            line_start=one["line_start"],
            line_end=one["line_end"],
            quote=one["quote"],
            message=f"{one['rule']}: this looks like a secret, and everybody can read it here.",
            suggestion="Revoke it at its provider, because it stays in the history. Read it from the environment.",
        )
        for one in read.about["secrets"]
    ]


def _lint_findings(linted: Sequence[Mapping[str, Any]], text: Any) -> list[Finding]:
    """The linter's findings, quoted by the line at which they begin."""
    findings = []
    for one in linted:
        lines = (text(one["path"]) or "").split("\n")
        first = min(max(1, one["line_start"]), len(lines))
        quote = lines[first - 1].strip()[:MAX_KEPT_LINE_CHARACTERS].strip()
        if not quote or MASK in quote:
            continue
        findings.append(
            Finding(
                severity=LINT_SEVERITIES.get(one["rule"][0].upper(), "low"),
                category="lint",
                file=one["path"],
                line_start=first,
                line_end=max(first, min(one["line_end"], len(lines))),
                quote=quote,
                message=prose(f"{one['rule']}: {one['message']}"),
                suggestion="",
            )
        )
    return findings

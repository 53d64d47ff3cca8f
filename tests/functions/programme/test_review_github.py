"""Addresses, and what is asked of GitHub: how long it is waited for, and what it must not see."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from functions.programme.reviews.address import Address, read_address
from functions.programme.reviews.errors import ReviewFailure
from functions.programme.reviews.github import GitHub, is_archive_host, limit_wait
from functions.shared.http import Answer, Http
from functions.shared.settings import Settings, load_settings
from scripts.native.paths import REPO
from tests.standins.github import GitHubStandIn, Repository, example, pack
from tests.standins.github.server import TOKEN, sha_of
from tests.support.clocks import SkippingClock

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("url", "name", "refs"),
    [
        ("https://github.com/example/quiz", "quiz", ()),
        ("https://GitHub.COM/example/quiz/", "quiz", ()),
        ("https://www.github.com/example/quiz.git", "quiz", ()),
        ("https://github.com/example/quiz.git/?tab=readme-ov-file#top", "quiz", ()),
        ("https://github.com/example/quiz?x=/tree/other", "quiz", ()),
        ("https://github.com/example/quiz/tree/main", "quiz", ("main",)),
        ("https://github.com/example/quiz/tree/feature/x/src", "quiz", ("feature", "feature/x", "feature/x/src")),
        ("https://github.com/example/quiz/tree/v1%2E0", "quiz", ("v1.0",)),
        (f"https://github.com/example/quiz/commit/{SHA}/more", "quiz", (SHA,)),
        ("https://github.com/example/quiz/blob/main/a.py", "quiz", ("main", "main/a.py")),
        ("https://github.com/example/quiz/issues/3", "quiz", ()),
        ("https://github.com/example/.github", ".github", ()),
    ],
)
def test_addresses_as_browsers_and_git_have_them(url: str, name: str, refs: tuple[str, ...]) -> None:
    assert read_address(url) == Address("example", name, refs)


@pytest.mark.parametrize(
    "url",
    [
        "https://gitlab.com/example/quiz",
        "https://github.com.evil.test/example/quiz",
        "https://github.com@evil.test/example/quiz",
        "https://me:pw@github.com/example/quiz",
        "https://github.com:8443/example/quiz",
        "http://github.com/example/quiz",
        "https://github.com/example",
        "https://github.com/example/..",
        "https://github.com/-x/quiz",
        "https://github.com/example/qu%2Fiz%00",
        "https://github.com/example/quiz/tree/a..b",
        "https://github.com/example/quiz/tree/%2e%2e",
        "https://[::1/example/quiz",
        "",
    ],
)
def test_foreign_and_broken_addresses_are_refused(url: str) -> None:
    with pytest.raises(ReviewFailure) as refused:
        read_address(url)
    assert refused.value.code == "repository_not_found"


@pytest.fixture
def github() -> Iterator[GitHubStandIn]:
    with GitHubStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def settings(github: GitHubStandIn) -> Settings:
    keys = {"SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x", "SUPABASE_SECRET_KEY": "sb_secret_x"}
    keys["ENCRYPTION_KEYS"] = "1:" + base64.urlsafe_b64encode(bytes(32)).decode()
    place = {"APP_ENV": "local", "SUPABASE_URL": "http://127.0.0.1:1", "GITHUB_API_URL": github.url}
    return load_settings(keys | place)


def code(call: object) -> str:
    """Why a call failed."""
    with pytest.raises(ReviewFailure) as failed:
        call()  # type: ignore[operator]
    return failed.value.code


def test_a_commit_is_found_and_its_archive_read_without_the_token(
    github: GitHubStandIn, settings: Settings, http: Http, tmp_path: Path
) -> None:
    branch = {**example(), "new.py": "x = 1\n"}
    github.repositories["example/quiz"].branches = {"feature/x": branch}
    reader = GitHub(replace(settings, github_token=TOKEN), http, SkippingClock(), lambda: None)
    commit = reader.resolve(read_address("https://github.com/Example/QUIZ"))
    assert commit == ("example", "quiz", sha_of(example()))
    assert reader.resolve(read_address("https://github.com/example/quiz/tree/feature/x/src")).sha == sha_of(branch)
    assert reader.resolve(read_address("https://github.com/example/old-name")) == commit
    reader.download(commit, tmp_path / "archive")
    assert (tmp_path / "archive").read_bytes() == pack(example())
    assert {asked.token for asked in github.requests if asked.host == "api"} == {f"Bearer {TOKEN}"}
    assert [asked.token for asked in github.requests if asked.host == "archives"] == [None]


def test_what_cannot_be_reviewed_says_why(
    github: GitHubStandIn, settings: Settings, http: Http, tmp_path: Path
) -> None:
    def resolve(name: str, token: str | None = None) -> str:
        reader = GitHub(replace(settings, github_token=token), http, SkippingClock(), lambda: None)
        return code(lambda: reader.resolve(read_address(f"https://github.com/example/{name}")))

    assert resolve("nothing") == "repository_not_found"
    assert resolve("private") == "repository_not_found"
    # a token that may read it does not make it public
    assert resolve("private", TOKEN) == "repository_private"
    assert resolve("empty") == "repository_empty"
    assert resolve("quiz/tree/no-such-branch") == "repository_not_found"
    reader = GitHub(settings, http, SkippingClock(), lambda: None)
    commit = reader.resolve(read_address("https://github.com/example/huge"))
    assert code(lambda: reader.download(commit, tmp_path / "archive")) == "repository_too_large"
    github.add("example/elsewhere", Repository(archive_host="http://evil.test"))
    commit = reader.resolve(read_address("https://github.com/example/elsewhere"))
    assert code(lambda: reader.download(commit, tmp_path / "archive")) == "repository_unreadable"
    github.add("example/round", Repository(moved_to="example/round"))
    assert resolve("round") == "repository_not_found"


def test_a_token_that_ran_out_is_left_aside(github: GitHubStandIn, settings: Settings, http: Http) -> None:
    github.accepts_token = False
    reader = GitHub(replace(settings, github_token="old"), http, SkippingClock(), lambda: None)
    assert reader.resolve(read_address("https://github.com/example/quiz")).sha == sha_of(example())


def test_short_limits_are_waited_for_and_long_ones_put_the_work_off(
    github: GitHubStandIn, settings: Settings, http: Http
) -> None:
    clock = SkippingClock()
    reader = GitHub(settings, http, clock, lambda: None)
    address = read_address("https://github.com/example/quiz")
    github.faults = ["secondary:20"]
    began = clock.monotonic()
    reader.resolve(address)
    assert 20 <= clock.monotonic() - began < 22
    for faults, least, most in ((["limit:1800"], 1700, 1900), (["secondary"], 60, 62), (["secondary:300"], 300, 301)):
        github.faults = list(faults)
        with pytest.raises(ReviewFailure) as failed:
            GitHub(settings, http, SkippingClock(), lambda: None).resolve(address)
        assert failed.value.code == "provider_unavailable"
        assert failed.value.retryable
        assert least <= (failed.value.retry_after or 0) <= most, faults
    github.faults = ["500"]
    with pytest.raises(ReviewFailure) as failed:
        reader.resolve(address)
    assert (failed.value.code, failed.value.retryable, failed.value.retry_after) == ("provider_unavailable", True, None)


GONE, AWAY, EMPTY, BAD, DONE = (
    "repository_not_found", "provider_unavailable", "repository_empty", "repository_unreadable", "done"
)  # fmt: skip
# what comes of each fault at the repository, its commit, its archive's address and the archive itself
FAULTS = {
    "403": (GONE, GONE, GONE, AWAY), "404": (GONE, GONE, GONE, GONE), "409": (GONE, EMPTY, GONE, AWAY),
    "429": (AWAY, AWAY, AWAY, AWAY), "451": (GONE, GONE, GONE, AWAY), "500": (AWAY, AWAY, AWAY, AWAY),
    "limit:1800": (AWAY, AWAY, AWAY, AWAY), "secondary": (AWAY, AWAY, AWAY, AWAY),
    "reset": (AWAY, AWAY, AWAY, AWAY), "cut": (AWAY, AWAY, AWAY, AWAY), "gzip": (AWAY, AWAY, AWAY, AWAY),
    # an archive is looked into later
    "html": (AWAY, GONE, DONE, DONE), "list": (AWAY, GONE, DONE, DONE), "large": (AWAY, AWAY, DONE, DONE),
    "odd": (GONE, GONE, DONE, DONE),
    "away": (GONE, GONE, BAD, AWAY), "nowhere": (AWAY, GONE, BAD, AWAY), "bare": (GONE, GONE, GONE, AWAY),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_ends_in_a_code_that_is_explained(
    github: GitHubStandIn, settings: Settings, http: Http, tmp_path: Path, fault: str
) -> None:
    def read() -> str:
        reader = GitHub(settings, http, SkippingClock(), lambda: None)
        try:
            reader.download(reader.resolve(read_address("https://github.com/example/quiz")), tmp_path / "archive")
        except ReviewFailure as failure:
            return failure.code
        return DONE

    found = []
    for step in range(4):
        github.faults = ["none"] * step + [fault] * 4 if step < 3 else []
        github.archive_faults = [fault] if step == 3 else []
        found.append(read())
    assert tuple(found) == FAULTS[fault]
    explained = (REPO / "docs" / "errors.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in explained for name in {*found} - {DONE})


def test_a_refusal_that_is_no_limit_is_not_waited_for() -> None:
    answer = Answer(403, httpx.Headers(), b'{"message": "Repository access blocked"}', "https://api.github.com")
    assert limit_wait(answer, SkippingClock()) is None


def test_archives_come_from_the_host_that_belongs_to_the_api() -> None:
    api = "https://api.github.com"
    assert is_archive_host(api, "https://codeload.github.com/a/b/legacy.tar.gz/c")
    for url in (
        "http://codeload.github.com/a",
        "https://codeload.github.com:8443/a",
        "https://codeload.github.com.evil.test/a",
        "https://me@codeload.github.com/a",
        "https://github.com/a",
        "https://127.0.0.1/a",
        "https://[::1/a",
        "/a",
    ):
        assert not is_archive_host(api, url), url
    assert is_archive_host("https://git.school.edu/api/v3", "https://codeload.git.school.edu/a")
    assert is_archive_host("https://git.school.edu/api/v3", "https://git.school.edu/_codeload/a")
    assert is_archive_host("http://127.0.0.1:5001", "http://127.0.0.1:5002/a")
    assert not is_archive_host("http://127.0.0.1:5001", "http://10.0.0.1:5002/a")

"""Archives of strangers: honest ones are read, the others are refused in time and memory that are bounded."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from functions.programme.reviews import archive as module
from functions.programme.reviews.archive import inner_path, read_archive, stays_inside
from functions.programme.reviews.linter import MAX_MEMORY_BYTES, lint, spread
from functions.programme.reviews.secret_scan import MASK, scan
from functions.shared.children import run_in_child
from tests.standins.github import EVIL, example, pack
from tests.standins.github.archives import ROOT, member, packed

SECONDS = 60.0


def read(tmp_path: Path, data: bytes) -> dict[str, Any]:
    """What the child says of an archive; its texts are in ``tmp_path / "texts"``."""
    (tmp_path / "archive").write_bytes(data)
    (tmp_path / "texts").mkdir()
    arguments = [str(tmp_path / "archive"), str(tmp_path / "texts")]
    found: dict[str, Any] = run_in_child(
        read_archive, arguments, seconds=SECONDS, max_memory_bytes=module.MAX_MEMORY_BYTES
    )
    return found


def test_an_honest_repository_is_read_and_its_secret_is_masked(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        **example(),
        "logo.png": b"\x89PNG\0\0",
        "data.bin": b"\xff\xfe\xfa",
        "node_modules/x/index.js": "bad()",
        "big.py": "x = 1\n" * 100_000,
        "model.ckpt": "version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        "notes/other.md": "The key is q7Rk2vLx9Tz4Wm8Yb3Nc6Pd1, keep it.\n",
        "windows.py": "a = 1\r\nb = 2\r\n",
    }
    link = member(f"{ROOT}/docs/again.md", kind=tarfile.SYMTYPE, link="../README.md")
    members = [
        member(f"{ROOT}/{name}", text if isinstance(text, bytes) else text.encode()) for name, text in files.items()
    ]
    found = read(tmp_path, packed([member(ROOT, kind=tarfile.DIRTYPE), *members, link]))
    assert found["status"] == "ok"
    assert found["count"] == len(files)
    names = {file["path"]: file for file in found["files"]}
    assert set(names) == {*example(), "notes/other.md", "windows.py"}
    assert {one["file"]: one["reason"] for one in found["skipped"]} == {
        "logo.png": "binary",
        "data.bin": "binary",
        "node_modules/x/index.js": "generated",
        "big.py": "too_large",
        "model.ckpt": "lfs",
        "docs/again.md": "link",
    }
    assert names["quiz.py"]["lines"] == example()["quiz.py"].count("\n")
    assert names["windows.py"]["lines"] == 2
    assert set(found["languages"]) == {"Python"}
    (secret,) = found["secrets"]
    assert secret == {"path": "quiz.py", "line_start": 7, "line_end": 7, "rule": "Secret value", "quote": "q7Rk\u2026"}
    texts = {name: (tmp_path / "texts" / file["name"]).read_text() for name, file in names.items()}
    assert not any("q7Rk2v" in text for text in [*texts.values(), json.dumps(found)])
    assert texts["notes/other.md"] == f"The key is {MASK}, keep it.\n"
    # nothing was written under a name of the archive's
    assert {path.name for path in (tmp_path / "texts").iterdir()} == {file["name"] for file in found["files"]}


@pytest.mark.parametrize("kind", EVIL)
def test_hostile_archives_are_refused_and_write_nothing_outside(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, EVIL[kind]())["status"] == "unreadable"
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "texts"}
    assert all(path.name.startswith("f0") and path.is_file() for path in (tmp_path / "texts").iterdir())


def test_what_is_too_large_is_told_from_what_is_hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 3)
    monkeypatch.setattr(module, "MAX_UNPACKED_BYTES", 2_000)
    for number, files in enumerate(({str(n): "x" for n in range(4)}, {"a": "x" * 1500, "b": "x" * 501})):
        path = tmp_path / str(number)
        path.write_bytes(pack(files))
        assert read_archive(str(path), str(tmp_path))["status"] == "too_large"
    path.write_bytes(pack({str(n): "x" for n in range(3)}))
    assert read_archive(str(path), str(tmp_path))["status"] == "ok"


def test_names_and_links_that_lead_out() -> None:
    assert inner_path("root/a/b.py") == "a/b.py"
    assert inner_path("root") == ""
    assert inner_path("root/./a//b..py") == "a/b..py"
    for name in ("/a", "../a", "root/../a", "root/a/..", "root\\..\\a", "C:\\a", "C:/a", "\\\\host\\a", "root/\0"):
        with pytest.raises(module.Hostile):
            inner_path(name)
    assert stays_inside("a/b", "../c")
    assert stays_inside("a/b", "c/../../d")
    for target in ("", "/c", "../../c", "..\\..\\c", "\\c", "C:c", "c/../../../d", "\0"):
        assert not stays_inside("a/b", target)


SECRETS = {
    "a.py": [
        "AKIA" + "QWERTYUIOPASDFGH",
        "ghp_" + "a1B2c3D4e5" * 4,
        "sk_live_" + "a1B2c3D4e5F6g7H8",
        "AIza" + "a1B2c3D4-" * 3 + "a1B2c3D4",
    ],
    "b.ts": [
        'const apiKey: string = "9f8E7d6C5b4A3f2E1d0C"',
        'password: "Tr0ub4dor&3xyz"',
        "postgres://app:s3cr3tPw9@db.internal/app",
    ],
    ".env": ["SESSION_SECRET=9f8E7d6C5b4A3f2E1d0C9f8E", "export DB_PASSWORD=Tr0ub4dor-3xyz"],
    "c.yml": [
        "token: 9f8E7d6C5b4A3f2E1d0C9f8E",
        "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7Zq\n" * 6 + "-----END RSA PRIVATE KEY-----",
    ],
}
HARMLESS = {
    "a.py": [
        'token = "your-token-goes-here1"',
        "password = getpass()",
        'KEY = os.environ["API_KEY_FOR_PROD_1"]',
        'key = "primary_key_name_2"',
        'authors = ["a1b2c3d4e5f6g7h8"]',
        "if token == expected_token_value_17:",
        "-----BEGIN PRIVATE KEY-----",
    ],
    "b.md": [
        "postgres://postgres:postgres@localhost/app",
        "password: <your password>",
        "https://example.org:8080/path@2",
    ],
    ".env": [
        "API_KEY=changeme-changeme-1",
        "SECRET=${VAULT_SECRET_VALUE_1}",
        "TOKEN_URL=https://auth.internal/oauth/token",
    ],
}


def test_secrets_are_found_and_what_only_looks_like_one_is_not() -> None:
    for path, texts in SECRETS.items():
        for text in texts:
            found, masked = scan(path, f"first line\n{text}\nlast line\n")
            assert len(found) == 1, (path, text)
            assert found[0].line_start == 2
            assert found[0].line_end == 2 + found[0].value.count("\n")
            assert found[0].quote.endswith("\u2026")
            assert len(found[0].quote) <= 5
            assert found[0].value not in masked
            assert masked.count("\n") == f"first line\n{text}\nlast line\n".count("\n")
    for path, texts in HARMLESS.items():
        for text in texts:
            assert scan(path, text) == ([], text), (path, text)


def test_the_scanner_takes_its_time_from_the_size_alone() -> None:
    for text in (
        "password" * 40_000,
        "a://" * 80_000,
        "token: '" * 40_000,
        "-----BEGIN PRIVATE KEY-----" * 10_000,
        "eyJ" * 100_000,
    ):
        scan("a.py", text)


def test_the_linter_reads_and_neither_runs_nor_obeys_what_it_reads(tmp_path: Path) -> None:
    (tmp_path / "f00001.py").write_text("import os  # noqa\nopen('touched', 'w').write('x')\neval('1')\n")
    (tmp_path / "f00002.py").write_text("# ruff: noqa\ndef f(x=[]):\n    return x\n")
    (tmp_path / "f00003.py").write_text("def broken(:\n")
    (tmp_path / "ruff.toml").write_text('lint.ignore = ["F", "B", "S"]\n')
    found = run_in_child(lint, [str(tmp_path), 20], seconds=SECONDS, max_memory_bytes=MAX_MEMORY_BYTES)
    rules = {(one["name"], one["rule"], one["line_start"]) for one in found}
    assert {("f00001.py", "F401", 1), ("f00001.py", "S307", 3), ("f00002.py", "B006", 2)} <= rules
    assert any(name == "f00003.py" for name, _, _ in rules)
    assert not (tmp_path / "touched").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"f00001.py", "f00002.py", "f00003.py", "ruff.toml"}


def test_one_rule_does_not_hide_the_others() -> None:
    found = [{"name": "f.py", "line_start": n, "rule": "F401"} for n in range(9)]
    found.append({"name": "f.py", "line_start": 99, "rule": "S307"})
    assert [one["rule"] for one in spread(found, 3)] == ["F401", "F401", "S307"]

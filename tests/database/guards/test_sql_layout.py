"""The layout of SQL: what ./scripts/format does inside function bodies and comments, and what it refuses to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.native import sql_format
from scripts.native.paths import REPO

UNTIDY = """\
CREATE function private.probe()
returns text
    language plpgsql
as $$
begin
   -- Keep THIS   as it is
      return 'two
   lines';   \n\
end
$$;

comment on function private.probe() is
  'First. '
  'Second.';

comment on schema private is 'It''s a sentence that is much longer than one line, told in words of no other meaning, and so on, to the very end.';
"""  # noqa: E501
TIDY = """\
create function private.probe()
returns text
language plpgsql
as $$
begin
    -- Keep THIS   as it is
        return 'two
   lines';
end
$$;

comment on function private.probe() is 'First. Second.';

comment on schema private is
    'It''s a sentence that is much longer than one line, told in words of no other meaning, and so on, to the very '
    'end.';
"""


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SQL file in a repository of its own."""
    (tmp_path / ".sqruff").write_text((REPO / ".sqruff").read_text())
    monkeypatch.setattr("scripts.native.sql_format.REPO", tmp_path)
    file = tmp_path / "sql" / "probe.sql"
    file.parent.mkdir()
    return file


def test_a_text_is_wrapped_without_a_change() -> None:
    for length in range(1, 260):
        text = ("it''s a word " * 30)[:length].rstrip("'")
        made = sql_format.finish(f"comment on schema private is '{text}';\n")
        assert max(map(len, made.splitlines())) <= sql_format.MAX_COLUMNS
        assert "".join(re.findall(r"'(.*)'", made)) == text
        assert sql_format.finish(made) == made


def test_statements_bodies_and_comments_are_laid_out(probe: Path) -> None:
    probe.write_text(UNTIDY)
    assert sql_format.formatted([probe]) == {probe: TIDY}
    assert "sql/probe.sql" in sql_format.stale()


def test_a_second_run_changes_nothing(probe: Path) -> None:
    probe.write_text(TIDY)
    assert sql_format.formatted([probe]) == {probe: TIDY}
    assert sql_format.stale() == ""


def test_what_cannot_be_parsed_is_an_error_and_stays(probe: Path) -> None:
    probe.write_text("create tabel t (id int);\n")
    assert "Unparsable" in sql_format.stale()
    assert probe.read_text() == "create tabel t (id int);\n"


def test_a_wide_line_is_named(probe: Path) -> None:
    probe.write_text(f"-- {'x' * sql_format.MAX_COLUMNS}\n")
    assert "sql/probe.sql:1: wider" in sql_format.stale()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("select 'A';", "select 'a';"),
        ("select 'a b';", "select 'a  b';"),
        ("select a - b;", "select a + b;"),
        ('select "A";', 'select "a";'),
        ("select 1; -- One", "select 1; -- one"),
        ("select $$A$$;", "select $$a$$;"),
        ("select 'a b'\n'c';", "select 'a b c';"),
        ("select $a$ 'x y' $a$;", "select $a$ 'x  y' $a$;"),
    ],
)
def test_a_change_of_meaning_is_seen(before: str, after: str) -> None:
    assert sql_format.gist(before) != sql_format.gist(after)
    assert sql_format.gist(before) == sql_format.gist(before.replace("select", "SELECT\n   "))

"""Bodies: exactly one JSON object with text that a database can hold, or a clear refusal."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.shared.errors import MalformedJson, ValidationFailed
from functions.shared.web.bodies import parse_object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"nothing",
        b"[]",
        b'"text"',
        b"1",
        b"null",
        b'{"a":1}{"b":2}',
        b'{"a":1,"a":2}',
        b'{"x":{"a":1,"a":2}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 5_000,
        b'{"a":' * 70 + b"1" + b"}" * 70,
        b'{"a":' + b"9" * 5_000 + b"}",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":"\t"}',
    ],
)
def test_what_is_not_one_json_object_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse_object(raw)


@pytest.mark.parametrize(
    ("raw", "details"),
    [
        (b'{"a":"x\\u0000"}', [{"path": "a", "code": "string_nul"}]),
        (b'{"a":{"b":["x","\\ud800"]}}', [{"path": "a.b.1", "code": "string_unicode"}]),
        (b'{"a\\u0000":1}', [{"path": "?", "code": "extra_forbidden"}]),
    ],
)
def test_text_no_database_can_hold_fails_validation(raw: bytes, details: object) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse_object(raw)
    assert caught.value.details == details


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse_object(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_good_objects_come_through_unchanged(value: dict[str, object]) -> None:
    raw = json.dumps(value).encode()
    try:
        assert parse_object(raw) == value
    except ValidationFailed:
        assert "\\u0000" in raw.decode() or "\\ud" in raw.decode()


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    with suppress(MalformedJson, ValidationFailed):
        assert isinstance(parse_object(raw), dict)

"""Envelopes open only where they belong."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.shared.crypto import DecryptionFailed, Envelope

OLD, NEW = os.urandom(32), os.urandom(32)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens_again(plain: str) -> None:
    envelope = Envelope({1: OLD})
    sealed = envelope.encrypt(plain, row_id="a", field="access_token")
    assert envelope.decrypt(sealed, row_id="a", field="access_token") == plain
    assert len(plain) < 4 or plain not in sealed


def test_another_row_or_field_does_not_open_it() -> None:
    envelope = Envelope({1: OLD})
    sealed = envelope.encrypt("secret", row_id="a", field="access_token")
    for row_id, field in (("b", "access_token"), ("a", "refresh_token"), ("token:a", "access_")):
        with pytest.raises(DecryptionFailed):
            envelope.decrypt(sealed, row_id=row_id, field=field)


def test_the_newest_key_seals_and_older_ones_still_open() -> None:
    before, after = Envelope({9: OLD}), Envelope({9: OLD, 10: NEW})
    sealed = before.encrypt("secret", row_id="a", field="f")
    assert after.decrypt(sealed, row_id="a", field="f") == "secret"
    again = after.encrypt("secret", row_id="a", field="f")
    assert again.startswith("v10:")
    with pytest.raises(DecryptionFailed):
        before.decrypt(again, row_id="a", field="f")


def test_the_same_text_never_looks_the_same() -> None:
    envelope = Envelope({1: OLD})
    assert len({envelope.encrypt("secret", row_id="a", field="f") for _ in range(50)}) == 50


@given(st.text(max_size=80) | st.from_regex(r"v1:[A-Za-z0-9_-]{1,60}", fullmatch=True))
def test_damage_is_one_clear_error(damaged: str) -> None:
    with pytest.raises(DecryptionFailed):
        Envelope({1: OLD}).decrypt(damaged, row_id="a", field="f")


def test_every_flipped_byte_is_noticed() -> None:
    envelope = Envelope({1: OLD})
    sealed = envelope.encrypt("secret", row_id="a", field="f")
    for place in range(3, len(sealed) - 1):
        flipped = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :]
        with pytest.raises(DecryptionFailed):
            envelope.decrypt(flipped, row_id="a", field="f")

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.text import clean_text, shown

BAD = ["\x00", "a\nb", "\x7f", "\x85", "\ud800", "x\udfff", "\u202e", "a\u2066b", "\u202a"]


@pytest.mark.parametrize("text", BAD)
def test_refuses(text):
    with pytest.raises(ValueError, match="must not hold"):
        clean_text(text)


@pytest.mark.parametrize("text", ["", "Straße", "日本語", "שלום \u200f", "e\u0301", "👩‍👩‍👧", "a\u00a0b", "\u2028"])
def test_accepts_in_nfc(text):
    assert clean_text(text) == unicodedata.normalize("NFC", text)


@given(st.text())
def test_what_is_accepted_is_clean_and_stays_so(text):
    try:
        clean = clean_text(text)
    except ValueError:
        assert any(
            unicodedata.category(c) in ("Cc", "Cs") or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
            for c in text
        )
    else:
        assert clean_text(clean) == clean
        clean.encode()


@given(st.text())
def test_what_is_shown_is_short_and_printable(text):
    assert len(shown(text)) <= 64
    assert shown(text).isprintable()

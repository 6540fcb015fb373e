"""Which text is accepted from clients."""

import unicodedata

# Embeddings, overrides and isolates reorder what is around them; the plain marks (LRM, RLM, ALM) don't and are needed.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_text(text: str) -> str:
    """The text in NFC.

    Raises:
        ValueError: it holds control characters, lone surrogates or bidirectional overrides; the message goes on after a name.
    """
    if text.isascii():
        if text.isprintable():
            return text
        raise ValueError("must not hold control characters")
    for character in text:
        category = unicodedata.category(character)
        if category == "Cc":
            raise ValueError("must not hold control characters")
        if category == "Cs":
            raise ValueError("must not hold lone surrogates")
        if character in _BIDI:
            raise ValueError("must not hold bidirectional overrides")
    return unicodedata.normalize("NFC", text)


def shown(text: str, *, longest: int = 64) -> str:
    """A client's text as it may be repeated in an answer: printable, and not longer than `longest`."""
    printable = "".join(c if c.isprintable() and c not in _BIDI else "?" for c in text[: longest + 1])
    return printable if len(printable) <= longest else f"{printable[: longest - 1]}…"

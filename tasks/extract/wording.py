"""Words for the sentences that people read."""


def counted(number: int, noun: str) -> str:
    """ "1 photo", "2 photos", "1,200 photos"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

"""Which tags: a short text such as 0-3,7."""

from tasks.errors import BadOption
from tasks.tags.pdf import MOST_IDS


def parse_ids(text: str) -> tuple[int, ...]:
    """`0-3,7` as (0, 1, 2, 3, 7).

    Raises:
        BadOption: the text is no such list, or names more than fit into one document.
    """
    ids: list[int] = []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if not _is_whole(first) or (dash and not _is_whole(last)):
            raise BadOption(f"{text[:80]!r} is not a list of ids such as 0-3 or 0,2,5.")
        low, high = int(first), int(last or first)
        if high < low or len(ids) + high - low >= MOST_IDS:
            raise BadOption(f"{text[:80]!r} is not a list of at most {MOST_IDS} ids, the lower one of a range first.")
        ids += range(low, high + 1)
    return tuple(ids)


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9

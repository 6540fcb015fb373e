"""Sizes of written frames."""


def fit(width: int, height: int, max_side: int) -> tuple[int, int]:
    """(width, height) scaled so that the long side is at most `max_side`; never enlarged, never below 1 px."""
    long_side = max(width, height)
    if long_side <= max_side:
        return width, height
    return max(1, round(width * max_side / long_side)), max(1, round(height * max_side / long_side))


def square_pixels(width: int, height: int, aspect: float) -> tuple[int, int]:
    """The size at which pixels of `aspect` (width : height of one pixel) become square, by shrinking one side."""
    if aspect > 1:
        return width, max(1, round(height / aspect))
    return max(1, round(width * aspect)), height

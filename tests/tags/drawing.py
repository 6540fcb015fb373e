"""Reads back what a page of tags draws: the filled rectangles of its content stream, in millimetres."""

import re

import numpy as np

NUMBER = r"-?\d*\.?\d+"
OPERATION = re.compile(rf"((?:{NUMBER}\s+)*)([A-Za-z*]+)(?=\s|$)")
MM_PER_POINT = 25.4 / 72


def page_size_mm(document: bytes) -> tuple[float, float]:
    """Width and height of the first page."""
    box = re.search(rb"/MediaBox \[([^\]]+)\]", document)
    assert box
    x0, y0, x1, y1 = map(float, box[1].split())
    return (x1 - x0) * MM_PER_POINT, (y1 - y0) * MM_PER_POINT


def black_rectangles_mm(document: bytes) -> list[np.ndarray]:
    """For each page (N, 4) of left, bottom, width, height: what is filled in black, other than arrow heads and text."""
    pages = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", document, re.DOTALL):
        text = stream.decode("latin-1")
        if " re" in text:
            pages.append(np.array(_filled(text)).reshape(-1, 4))
    return pages


def _filled(text: str) -> list[list[float]]:
    """Filled rectangles of one content stream; only the operators that our pages use for them."""
    found, pending, stack = [], [], []
    matrix, gray = np.eye(3), 0.0
    text = re.sub(r"BT.*?ET", " ", text, flags=re.DOTALL)
    for operands, operator in OPERATION.findall(text):
        values = [float(v) for v in operands.split()]
        if operator == "q":
            stack.append((matrix, gray))
        elif operator == "Q":
            matrix, gray = stack.pop()
        elif operator == "cm":
            a, b, c, d, e, f = values
            matrix = matrix @ np.array([[a, c, e], [b, d, f], [0, 0, 1]])
        elif operator == "g":
            gray = values[0]
        elif operator == "re":
            x, y, w, h = values
            low, high = matrix @ [x, y, 1], matrix @ [x + w, y + h, 1]
            pending.append([*low[:2] * MM_PER_POINT, *(high - low)[:2] * MM_PER_POINT])
        elif operator in ("f", "f*"):
            assert gray == 0
            found += pending
            pending = []
        elif operator in ("n", "S", "s"):
            pending = []
    return found


def rasterise(rectangles: np.ndarray, size_mm: tuple[float, float], pixels_per_mm: float) -> np.ndarray:
    """(H, W) uint8 picture of a page, seen as a scanner sees it: each pixel the average over its area."""
    over = 4
    width, height = (round(v * pixels_per_mm * over) for v in size_mm)
    page = np.full((height, width), 255, np.float32)
    for left, bottom, w, h in rectangles * pixels_per_mm * over:
        page[round(height - bottom - h) : round(height - bottom), round(left) : round(left + w)] = 0
    height, width = height // over * over, width // over * over
    small = page[:height, :width].reshape(height // over, over, width // over, over).mean((1, 3))
    return np.round(small).astype(np.uint8)

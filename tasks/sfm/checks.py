"""Results that look like success and are not, found and said."""

from typing import TYPE_CHECKING

import pycolmap

from tasks.sfm.capture import Capture

if TYPE_CHECKING:
    from tasks.sfm.ladder import LadderResult


def warnings_about(model: pycolmap.Reconstruction, capture: Capture, result: "LadderResult") -> list[str]:
    """Sentences about what is doubtful in a model that is kept."""
    return []

"""Where the cameras look, and the scale of a scene without metres."""

import numpy as np

MIN_AXIS_SPREAD = 0.03  # smallest eigenvalue of the mean projector: axes about 10 degrees apart


def centre_of_view(centres: np.ndarray, axes: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """(3,) centre of what the cameras look at.

    The point nearest to all optical axes, where they meet (an orbit); otherwise (a walk, a pan along a wall: axes almost
    parallel, or meeting behind the cameras) the median of the points that lie one typical depth in front of each camera.

    Args:
        centres: (N, 3) camera positions.
        axes: (N, 3) unit viewing directions.
        depths: (N,) typical depth of what each camera sees.
    """
    ahead = np.median(centres + depths[:, None] * axes, axis=0)
    projectors = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    a = projectors.mean(0)
    if np.linalg.eigvalsh(a)[0] < MIN_AXIS_SPREAD:
        return ahead
    point = np.linalg.solve(a, np.einsum("nij,nj->i", projectors, centres) / len(centres))
    along = ((point - centres) * axes).sum(1)
    in_view = (along > 0.2 * depths) & (along < 5.0 * depths)
    return point if in_view.mean() >= 0.8 else ahead

"""How much scratch space a step may write, from what was asked for: an upper bound before it begins, not a forecast."""

from storage.tables import Job
from tasks.presets import DEFAULT_OF_DEVICE, PRESETS

PICTURE_BYTES = 2_000_000  # a JPEG of quality 95 and 4:4:4, 1,600 px on its long side
MASK_BYTES = 200_000
FEATURE_BYTES = 2_600_000  # of a frame: keypoints, descriptors and its matches
RENDER_BYTES = 4_000_000  # a PNG of that size
HELD_OUT = 8  # every so many frames one is rendered
GAUSSIAN_BYTES = 250  # in a PLY
CHECKPOINT_BYTES = 720  # of a Gaussian: 59 parameters and two moments of each, float32
CHECKPOINTS = 3  # the last, the one being written, the one on its way to the store
OTHER_BYTES = 200_000_000  # meshes, videos, reports


def needed(step: str, job: Job, device: str) -> int:
    """Bytes that a step of a job may write into its work folder, the archive for the store included."""
    preset = PRESETS[DEFAULT_OF_DEVICE[device]]
    frames = job.max_frames or preset["max_frames"]
    gaussians = job.training_max_num_gaussians
    pictures = frames * PICTURE_BYTES
    if step == "extract":
        return 2 * pictures
    if step == "mask":
        return 2 * frames * MASK_BYTES
    if step == "sfm":
        return 2 * (pictures + frames * MASK_BYTES) + frames * FEATURE_BYTES
    if step == "train":
        output = gaussians * GAUSSIAN_BYTES + (frames // HELD_OUT + 1) * RENDER_BYTES
        return 2 * output + CHECKPOINTS * gaussians * CHECKPOINT_BYTES
    if step == "export":
        return 2 * pictures + 2 * gaussians * GAUSSIAN_BYTES + (frames // HELD_OUT + 1) * RENDER_BYTES
    return OTHER_BYTES

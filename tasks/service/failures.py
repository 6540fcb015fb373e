"""What a client is told of a run that failed: a stable code, and a sentence that says what to do.

Input errors say it themselves. Errors of the machine are told without its paths and names; the details are in the run's log.
"""

import re

from tasks.errors import (
    BadPosedInput,
    BadScene,
    DeviceUnavailable,
    DiskFull,
    InputError,
    MachineError,
    OutOfMemory,
    SplatflowError,
    TransientError,
)
from tasks.service.archive import OutputLost

INTERNAL = "internal"
INTERNAL_MESSAGE = (
    "Something failed that is not your input's fault; retry the job, and tell the operator if it fails again."
)
MACHINE_MESSAGES: dict[type[SplatflowError], str] = {
    DiskFull: "The disk of the machine that ran this job is full; retry it later, or tell the operator.",
    OutOfMemory: (
        "The machine that ran this job has too little memory for it; submit it again with fewer training_max_num_gaussians, "
        "max_frames or a smaller train_side_px."
    ),
    DeviceUnavailable: "The machine that ran this job lost its GPU; retry it, and tell the operator if it fails again.",
    MachineError: "The machine that ran this job can't do it now; retry it later, or tell the operator.",
    OutputLost: "A finished step of this job was damaged in the store and has been removed; retry the job, which makes it again.",
    TransientError: "A service that the run needs did not answer for too long; retry the job later.",
}


OF_OUR_OWN = (BadPosedInput, BadScene)  # what lies between the steps of a job: no client gave it
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^\s/]+/)+")


def told(error: BaseException | None) -> tuple[str, str]:
    """Code and sentence for a client."""
    if isinstance(error, OF_OUR_OWN):
        return error.slug, INTERNAL_MESSAGE
    if isinstance(error, InputError):
        return error.slug, _FOLDERS.sub("", str(error))  # the file's name is enough
    for kind, message in MACHINE_MESSAGES.items():
        if isinstance(error, kind):
            return error.slug, message
    return INTERNAL, INTERNAL_MESSAGE

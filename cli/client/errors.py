"""What can go wrong between the command and a deployment.

SplatflowError
├── Refused            the API's own code     it answered with an error; the sentence is the API's
│   └── JobEnded       the job's error_code   the job ended without a scene
├── Unreachable        unreachable            no answer, for as long as we had patience
├── NoDeployment       no_deployment          neither --url nor SPLATFLOW_URL, and no group at work here
├── NoKey              no_key                 neither --key nor SPLATFLOW_KEY
├── UploadRefused      upload_refused         the store did not take the file
└── Damaged            damaged_download       a file is not what the deployment says it is
"""

from tasks.errors import InputError, SplatflowError, TransientError


class Refused(SplatflowError):
    """The API's answer to a request; `slug` is its code, `status` that of HTTP."""

    def __init__(self, message: str, *, code: str, status: int = 0) -> None:
        super().__init__(message)
        self.slug = code  # type: ignore[misc]  # one class for all codes that an API may have
        self.status = status


class JobEnded(Refused):
    """The job failed, was cancelled, or is lost."""


class Unreachable(TransientError):
    slug = "unreachable"


class NoDeployment(InputError):
    slug = "no_deployment"


class NoKey(InputError):
    slug = "no_key"


class UploadRefused(InputError):
    slug = "upload_refused"


class Damaged(TransientError):
    slug = "damaged_download"

"""From a submit's body to a durable job."""

import hashlib
import json
import re
from typing import Any
from uuid import UUID, uuid4

from api import present
from api.errors import ApiError, bad_value
from api.schemas import SubmitRequest
from api.service import Service
from api.text import shown
from storage import jobs, naming, quotas, uploads
from storage.objects import ObjectMissing
from storage.tables import Job

_BLOB_NAME = re.compile(r"videos/[0-9a-f-]{36}\.[a-z0-9]{1,8}")  # what databases take, whatever a client sends
_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
MAX_UNKNOWN_NAMED = 20


def submission_of(key: str | None, body: dict[str, Any]) -> jobs.Submission | None:
    """What identifies a submit with an `Idempotency-Key`; None without one.

    Raises:
        ApiError: 400; the key can't be one.
    """
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise bad_value("Idempotency-Key must have 1 to 255 printable ASCII characters.", "Idempotency-Key")
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return jobs.Submission(key=key, body_sha256=hashlib.sha256(canonical.encode()).hexdigest())


def submit(
    service: Service, account_id: UUID, wanted: SubmitRequest, idempotency: jobs.Submission | None
) -> tuple[dict[str, Any], bool]:
    """Makes the job; returns the answer, and whether it is a new one.

    Raises:
        ApiError: 400 no such upload, or it is too large; 409 the idempotency key was used for another body.
        QuotaExceeded: the upload stays, to be submitted later.
        DatabaseUnavailable, StoreUnavailable
    """
    try:
        if idempotency is not None:
            known = jobs.known_answer(service.database, account_id, idempotency)
            if known is not None:
                return known, False
        size = _check_upload(service, account_id, wanted.blob_name)
        quotas.check(service.database, service.settings, account_id, _wanted(size))  # before anything is copied
        return _make(service, account_id, wanted, idempotency)
    except jobs.IdempotencyConflict:
        message = "This Idempotency-Key was used with another body."
        raise ApiError(409, "idempotency_conflict", message, field="Idempotency-Key") from None


def _make(
    service: Service, account_id: UUID, wanted: SubmitRequest, idempotency: jobs.Submission | None
) -> tuple[dict[str, Any], bool]:
    job_id = uuid4()
    source = naming.source_key(job_id, naming.extension_of(wanted.blob_name))
    is_new = False
    try:
        try:
            service.objects.copy(wanted.blob_name, source)
        except ObjectMissing:
            raise _blob_missing() from None
        size = _checked_size(service, source)
        job = _row(job_id, account_id, wanted, source_key=source, source_bytes=size)
        answer, is_new = jobs.submit(
            service.database,
            job,
            present.submitted,
            idempotency,
            lambda session: quotas.check_in(session, service.settings, account_id, _wanted(size)),
        )
        return answer, is_new
    finally:
        if not is_new:
            service.objects.delete([source])


def _wanted(source_bytes: int) -> dict[str, int]:
    """What a new job takes of quotas."""
    return {quotas.QUEUED: 1, quotas.BYTES: source_bytes, quotas.HOURS: 0}


def _check_upload(service: Service, account_id: UUID, blob_name: str) -> int:
    if not _BLOB_NAME.fullmatch(blob_name) or uploads.get(service.database, account_id, blob_name) is None:
        raise _blob_missing()
    return _checked_size(service, blob_name)


def _checked_size(service: Service, key: str) -> int:
    info, limit = service.objects.stat(key), service.settings.max_upload_bytes
    if info is None:
        raise _blob_missing()
    if info.bytes > limit:
        service.objects.delete([key])
        message = f"The upload has {info.bytes} bytes, over the limit of {limit}; it was removed."
        raise ApiError(400, "upload_too_large", message, field="blob_name")
    return info.bytes


def _row(job_id: UUID, account_id: UUID, wanted: SubmitRequest, *, source_key: str, source_bytes: int) -> Job:
    options = wanted.model_dump(exclude={"title", *(wanted.model_extra or {})})
    return Job(
        id=job_id,
        account_id=account_id,
        title=wanted.title or wanted.blob_name.rpartition("/")[2],
        source_key=source_key,
        source_bytes=source_bytes,
        warnings=warnings_of(wanted),
        **options,
    )


def warnings_of(wanted: SubmitRequest) -> list[dict[str, Any]]:
    """What of the request is accepted and not done."""
    unknown = [shown(name) for name in list(wanted.model_extra or {})[:MAX_UNKNOWN_NAMED]]
    return [_not_applied(name, f"The field {name} is not known here and has no effect.") for name in unknown]


def _not_applied(field: str, message: str) -> dict[str, Any]:
    return {"code": "not_applied", "field": field, "message": message}


def _blob_missing() -> ApiError:
    return ApiError(400, "blob_not_found", "Blob not found", field="blob_name")

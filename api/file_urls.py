"""Signed URLs of a job's files. They need no key and expire."""

from typing import Any

from api.service import Service
from storage import naming


def output_url(service: Service, job: Any, kind: str, base: str, *, save_as: str | None = None) -> str:
    """Of an output that the job's row names.

    Args:
        kind: a key of `storage.naming.FILES`.
        base: where clients reach the service.
        save_as: name that browsers save it under; None: it is shown, or fetched by a page.
    """
    _, content_type = naming.FILES[kind]
    return _signed(service, job.files[kind]["key"], base, content_type, save_as)


def preview_url(service: Service, job: Any, base: str) -> str | None:
    """Of the latest preview; None before there is one."""
    return None if job.preview_key is None else _signed(service, job.preview_key, base, "image/jpeg", None)


def _signed(service: Service, key: str, base: str, content_type: str, save_as: str | None) -> str:
    return service.objects.signed_get(
        key,
        seconds=service.settings.download_url_seconds,
        base_url=base,
        file_name=save_as,
        content_type=content_type,
    )

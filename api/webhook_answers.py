"""Webhooks' rows as clients see them. Pure."""

from typing import Any

from api import present
from storage.tables import Webhook, WebhookDelivery
from storage.webhooks import NO_JOB, WAITING


def webhook(row: Webhook) -> dict[str, Any]:
    """A webhook in JSON's types, without its secret."""
    return {
        "webhook_id": str(row.id),
        "url": row.url,
        "events": row.events,
        "active": row.active,
        "created_at": present.instant(row.created_at),
    }


def delivery(row: WebhookDelivery) -> dict[str, Any]:
    """An entry of a webhook's log."""
    return {
        "delivery_id": str(row.id),
        "event": row.event,
        "job_id": None if row.job_id == NO_JOB else str(row.job_id),
        "state": row.state,
        "tries": row.tries,
        "status_code": row.status_code,
        "error": row.error,
        "created_at": present.instant(row.created_at),
        "next_try_at": present.instant(row.due_at) if row.state == WAITING else None,
        "ended_at": present.instant(row.ended_at),
    }

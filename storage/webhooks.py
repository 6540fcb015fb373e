"""Webhooks: where accounts want to be told of their jobs' ends, and what is to be told.

What is told is written in the transaction that ends the job (`announce`), so that nothing is told that did not happen, and nothing is
forgotten that did. `storage.webhook_queue` is for who sends it.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CursorResult, delete, func, select, update
from sqlmodel import Session, SQLModel, col

from storage.database import Database
from storage.tables import FINISHED, Account, Job, Webhook, WebhookDelivery, now

JOB_FINISHED, JOB_FAILED, PING = "job.finished", "job.failed", "ping"
EVENTS = (JOB_FINISHED, JOB_FAILED)
WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"
NO_JOB = UUID(int=0)
SWITCHED_OFF = "The webhook was switched off."
BATCH = 500


class WebhookMissing(LookupError):
    """No such webhook for this account."""


class DeliveryMissing(LookupError):
    """The webhook has no such delivery."""


class WebhookOff(Exception):
    """The webhook is switched off."""


class TooManyWebhooks(Exception):
    """The account has as many as it may have."""


def announce(session: Session, job: Job) -> None:
    """Within the transaction that ends a job, and before it counts: the job's end is to be told to whom its account named.

    Nothing for a try at a better result, which is no job, and for a job that was deleted. One query by index where there is nobody to tell.
    """
    if job.reprocess_of is not None or job.deleted_at is not None:
        return
    event = JOB_FINISHED if job.state == FINISHED else JOB_FAILED
    # Held until the end, so that a webhook that is being removed is either told nothing or removed with this.
    query = select(Webhook).where(col(Webhook.account_id) == job.account_id, col(Webhook.active).is_(True))
    for hook in session.scalars(query.with_for_update(read=True, key_share=True)):
        if event in hook.events:
            session.add(_delivery(hook.id, event, job))


def listed(database: Database, account_id: UUID) -> Sequence[Webhook]:
    """The account's webhooks, oldest first."""
    query = select(Webhook).where(col(Webhook.account_id) == account_id)
    with database.read() as session:
        return session.scalars(query.order_by(col(Webhook.created_at), col(Webhook.id))).all()


def get(database: Database, account_id: UUID, hook_id: UUID) -> Webhook:
    """One of the account's webhooks.

    Raises:
        WebhookMissing: there is none, or it is somebody else's.
    """
    with database.read() as session:
        return _row(session, account_id, hook_id)


def create(database: Database, hook: Webhook, *, most: int) -> Webhook:
    """Makes a webhook.

    Args:
        most: so many an account may have.

    Raises:
        TooManyWebhooks
    """
    with database.write() as session:
        # The account's row is held, so that no two make the last one.
        session.execute(select(col(Account.id)).where(col(Account.id) == hook.account_id).with_for_update())
        counted = select(func.count()).select_from(Webhook).where(col(Webhook.account_id) == hook.account_id)
        if session.execute(counted).scalar_one() >= most:
            raise TooManyWebhooks
        session.add(hook)
    return hook


def change(database: Database, account_id: UUID, hook_id: UUID, values: dict[str, Any]) -> Webhook:
    """Sets columns: `url`, `events`, `active` or `salt`. What waits for one that is switched off is not told any more.

    Raises:
        WebhookMissing
    """
    with database.write() as session:
        hook = _row(session, account_id, hook_id, lock=True)
        for name, value in values.items():
            setattr(hook, name, value)
        session.add(hook)
        if not hook.active:
            drop_waiting_in(session, hook_id)
    return hook


def remove(database: Database, account_id: UUID, hook_id: UUID) -> None:
    """Removes a webhook and its log.

    Raises:
        WebhookMissing
    """
    with database.write() as session:
        hook = _row(session, account_id, hook_id, lock=True)
        session.execute(delete(WebhookDelivery).where(col(WebhookDelivery.webhook_id) == hook_id))
        session.delete(hook)


def ping(database: Database, account_id: UUID, hook_id: UUID) -> WebhookDelivery:
    """Something is to be told that is about no job; a ping that waits already is sent now, and no second one.

    Raises:
        WebhookMissing, WebhookOff
    """
    with database.write() as session:
        hook = _row(session, account_id, hook_id, lock=True)
        if not hook.active:
            raise WebhookOff
        query = select(WebhookDelivery).where(
            col(WebhookDelivery.webhook_id) == hook_id,
            col(WebhookDelivery.job_id) == NO_JOB,
            col(WebhookDelivery.state) == WAITING,
        )
        row = session.scalars(query.with_for_update()).first()
        if row is None:
            row = _delivery(hook_id, PING, None)
        row.due_at = now()
        session.add(row)
    return row


def deliveries(
    database: Database, account_id: UUID, hook_id: UUID, *, limit: int, offset: int
) -> tuple[Sequence[WebhookDelivery], int]:
    """A page of a webhook's log, newest first, and how many there are in all.

    Raises:
        WebhookMissing
    """
    of_hook = col(WebhookDelivery.webhook_id) == hook_id
    newest = (col(WebhookDelivery.created_at).desc(), col(WebhookDelivery.id).desc())
    with database.read() as session:
        _row(session, account_id, hook_id)
        total = session.execute(select(func.count()).select_from(WebhookDelivery).where(of_hook)).scalar_one()
        page = select(WebhookDelivery).where(of_hook).order_by(*newest).limit(limit).offset(offset)
        return session.scalars(page).all(), total


def redeliver(database: Database, account_id: UUID, hook_id: UUID, delivery_id: UUID) -> WebhookDelivery:
    """The same is told again, under the same id: at once, and for a day if need be.

    Raises:
        WebhookMissing, DeliveryMissing, WebhookOff
    """
    with database.write() as session:
        hook = _row(session, account_id, hook_id, lock=True)
        query = select(WebhookDelivery).where(
            col(WebhookDelivery.id) == delivery_id, col(WebhookDelivery.webhook_id) == hook_id
        )
        row = session.scalars(query.with_for_update()).first()
        if row is None:
            raise DeliveryMissing
        if not hook.active:
            raise WebhookOff
        row.due_at = now()
        if row.state != WAITING:
            row.state, row.tries, row.created_at, row.ended_at = WAITING, 0, row.due_at, None
        session.add(row)
    return row


def forget_job_in(session: Session, job_id: UUID) -> None:
    """Within the transaction that deletes a job: nothing of it is told any more, and no log has it."""
    session.execute(delete(WebhookDelivery).where(col(WebhookDelivery.job_id) == job_id))


def forget_old(database: Database, older_than: timedelta) -> int:
    """Forgets deliveries that were made so long ago; returns how many."""
    with database.read() as session:
        hooks = session.scalars(select(col(Webhook.id))).all()
    before, count = now() - older_than, 0
    for hook_id in hooks:
        old = select(col(WebhookDelivery.id)).where(
            col(WebhookDelivery.webhook_id) == hook_id, col(WebhookDelivery.created_at) < before
        )
        while True:
            with database.write() as session:
                done = session.execute(delete(WebhookDelivery).where(col(WebhookDelivery.id).in_(old.limit(BATCH))))
            assert isinstance(done, CursorResult)
            count += done.rowcount
            if done.rowcount < BATCH:
                break
    return count


def drop_waiting_in(session: Session, hook_id: UUID) -> None:
    """Within the transaction that switches a webhook off: what waits is given up."""
    waiting = (col(WebhookDelivery.webhook_id) == hook_id, col(WebhookDelivery.state) == WAITING)
    values = {"state": FAILED, "error": SWITCHED_OFF, "ended_at": now()}
    session.execute(update(WebhookDelivery).where(*waiting).values(**values))


def _row(session: Session, account_id: UUID, hook_id: UUID, *, lock: bool = False) -> Webhook:
    query = select(Webhook).where(col(Webhook.id) == hook_id, col(Webhook.account_id) == account_id)
    hook = session.scalars(query.with_for_update() if lock else query).first()
    if hook is None:
        raise WebhookMissing(hook_id)
    return hook


def _delivery(hook_id: UUID, event: str, job: Job | None) -> WebhookDelivery:
    """A delivery of the job as it is now. Its row, not what clients get of it: that is made where it is sent."""
    delivery_id, moment = uuid4(), now()
    columns = SQLModel.metadata.tables["job"].columns.keys()
    told = {
        "id": str(delivery_id),
        "event": event,
        "created_at": moment.isoformat(),
        "job": None if job is None else {name: getattr(job, name) for name in columns},
    }
    return WebhookDelivery(
        id=delivery_id,
        webhook_id=hook_id,
        job_id=NO_JOB if job is None else job.id,
        event=event,
        body=json.dumps(told, default=_text),
        created_at=moment,
        due_at=moment,
    )


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

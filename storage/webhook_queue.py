"""What is to be told to webhooks, from the side of who sends it.

A try is claimed by a write that counts it, so that no two senders make the same one. Who dies between sending and saying so has its
try made again when the claim is over: receivers hear everything at least once, under the same id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import Session, col

from storage import measures, tally
from storage.database import Database
from storage.tables import Webhook, WebhookDelivery
from storage.webhooks import DELIVERED, FAILED, WAITING, drop_waiting_in

MAX_ERROR = 255


@dataclass(frozen=True, kw_only=True)
class Try:
    """A try that was claimed.

    Attributes:
        number: counts the delivery's tries from 1.
        created_at: since when it is tried.
        body: what is told, see `storage.webhooks.announce`.
    """

    delivery_id: UUID
    webhook_id: UUID
    number: int
    created_at: datetime
    event: str
    body: str
    url: str
    salt: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a try.

    Attributes:
        status_code: of the answer; None: there was none.
        error: a sentence; None: it was heard.
        again_at: when to try again; None: never.
        gone: the receiver wants no more: the webhook is switched off.
    """

    status_code: int | None
    error: str | None = None
    again_at: datetime | None = None
    gone: bool = False


def due(database: Database, moment: datetime) -> Sequence[UUID]:
    """The webhooks that something is to be told to now, what has been due for longest first."""
    earliest = func.min(col(WebhookDelivery.due_at))
    query = select(col(WebhookDelivery.webhook_id)).where(
        col(WebhookDelivery.state) == WAITING, col(WebhookDelivery.due_at) <= moment
    )
    with database.read() as session:
        return session.scalars(query.group_by(col(WebhookDelivery.webhook_id)).order_by(earliest)).all()


def claim(database: Database, webhook_id: UUID, moment: datetime, *, lease: timedelta) -> Try | None:
    """Takes the next try of a webhook; None: there is none now.

    Args:
        lease: after which a try of which nothing was heard is made again.
    """
    query = (
        select(WebhookDelivery, Webhook)
        .join_from(WebhookDelivery, Webhook)
        .where(
            col(WebhookDelivery.webhook_id) == webhook_id,
            col(WebhookDelivery.state) == WAITING,
            col(WebhookDelivery.due_at) <= moment,
        )
        .order_by(col(WebhookDelivery.due_at))
        .limit(1)
    )
    with database.write() as session:
        found = session.execute(query.with_for_update(of=WebhookDelivery, skip_locked=True)).first()
        if found is None:
            return None
        row, hook = found
        row.tries, row.due_at = row.tries + 1, moment + lease
        session.add(row)
        return Try(
            delivery_id=row.id,
            webhook_id=hook.id,
            number=row.tries,
            created_at=row.created_at,
            event=row.event,
            body=row.body,
            url=hook.url,
            salt=hook.salt,
        )


def settle(database: Database, made: Try, outcome: Outcome, moment: datetime) -> bool:
    """Writes down what came of a try; False when it is no longer the delivery's last: it was removed, or asked for anew."""
    with database.write() as session:
        if outcome.gone:
            hook = session.scalars(select(Webhook).where(col(Webhook.id) == made.webhook_id).with_for_update()).first()
            if hook is None:
                return False
            hook.active = False
            session.add(hook)
        row = _locked(session, made)
        if row is not None:
            row.status_code, row.error = (
                outcome.status_code,
                None if outcome.error is None else outcome.error[:MAX_ERROR],
            )
            if outcome.error is not None and outcome.again_at is not None:
                row.due_at = outcome.again_at
            else:
                row.state, row.ended_at = DELIVERED if outcome.error is None else FAILED, moment
            session.add(row)
        if outcome.gone:
            session.flush()
            drop_waiting_in(session, made.webhook_id)
        tally.add(session, measures.WEBHOOKS.one(outcome=_counted(outcome)))
        return row is not None


def _locked(session: Session, made: Try) -> WebhookDelivery | None:
    query = select(WebhookDelivery).where(
        col(WebhookDelivery.id) == made.delivery_id,
        col(WebhookDelivery.tries) == made.number,
        col(WebhookDelivery.state) == WAITING,
    )
    return session.scalars(query.with_for_update()).first()


def _counted(outcome: Outcome) -> str:
    if outcome.error is None:
        return measures.DELIVERED
    return measures.RETRIED if outcome.again_at is not None else measures.FAILED

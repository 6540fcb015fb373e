"""An account with webhooks, and a sender that goes by a clock of the test's."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from api.webhooks.sender import Sender
from storage import webhook_secrets, webhooks
from storage.database import Database
from storage.settings import Settings
from storage.tables import Webhook, WebhookDelivery, now
from tests.api.webhooks.receiver import Receiver
from tests.support.databases import FILES, at_work, new_account, submitted

SECRET = "signs what webhooks of tests get"


class Clock:
    """The time, as far as the test lets it go."""

    def __init__(self) -> None:
        self.at = now()

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **delta: float) -> None:
        self.at += timedelta(**delta)


class World:
    """An account, and a sender for it."""

    def __init__(self, database: Database, folder: Path, **options: Any) -> None:
        given = {
            "webhook_allow_http": True,
            "webhook_allow_private": "127.0.0.0/8",
            "signing_secret": SECRET,
            **options,
        }
        self.database, self.settings = database, Settings(data=folder / "data", **given)
        self.clock, self.account_id = Clock(), new_account(database)
        self.sender = self.another()

    def another(self, **options: Any) -> Sender:
        return Sender(self.settings, self.database, clock=self.clock, **{"seconds": 2.0, **options})

    def hook(self, receiver: Receiver | str, **options: Any) -> Webhook:
        url = receiver if isinstance(receiver, str) else f"http://127.0.0.1:{receiver.port}/"
        salt = webhook_secrets.new_salt(SECRET.encode())
        row = Webhook(account_id=self.account_id, url=url, events=list(webhooks.EVENTS), salt=salt, **options)
        return webhooks.create(self.database, row, most=1000)

    def end_a_job(self, **values: Any) -> UUID:
        attempt = at_work(self.database, submitted(self.database, self.account_id, **values))
        attempt.finish(files=FILES, quality={"psnr_db": 21.5}, scale=None)
        return attempt.job_id

    def send(self) -> int:
        """Makes all tries that are due now, one after the other for each webhook; how many."""
        self.clock.at = max(self.clock.at, now())
        made = 0
        while begun := self.sender.round():
            made += begun
            assert self.sender.wait(20)
        return made

    def log(self) -> list[WebhookDelivery]:
        with self.database.read() as session:
            return list(session.scalars(select(WebhookDelivery).order_by(col(WebhookDelivery.created_at))))

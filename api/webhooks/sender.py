"""Tells webhooks what is to be told, in threads of its own: no receiver holds up the dispatcher, or another receiver.

One try at a time for each webhook. Those that answered slowly or not at all last time share some of the threads, so that any number
of them leaves the others' alone.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from uuid import UUID

from api.webhooks.address import BadUrl, Rules, destination
from api.webhooks.connect import Resolve, addresses_of
from api.webhooks.content import Contents
from api.webhooks.post import SECONDS, Answer, NoAnswer, post, trusted
from api.webhooks.retry import GONE, next_try
from storage import webhook_queue, webhook_secrets
from storage.database import Database
from storage.settings import Settings
from storage.tables import now
from storage.webhook_queue import Outcome, Try
from tasks.errors import TransientError

MOST, MOST_SLOW = 16, 8  # tries at a time; of webhooks that were slow
SLOW_SECONDS = 2.0
LOOK_SECONDS = 1.0
LEAD_SECONDS = 60.0  # a round of the dispatcher may wait for Prefect; two that send at once claim each try
LEASE = timedelta(seconds=120)  # more than a try takes, the system's resolver included
REMEMBERED = 10_000
COMPLAIN_SECONDS = 30.0
END_SECONDS = 2.0
AGENT = "splatflow-webhooks/1"
log = logging.getLogger("splatflow.webhooks")


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Of a webhook's last try: its number among all, and whether it was slow."""

    number: int
    slow: bool


class Sender:
    """Sends while its dispatcher leads. Use it as a context, or call `round` and `wait`.

    Args:
        clock: the time that deliveries are due by.
        resolve: finds the addresses of names.
        seconds: for a try.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        clock: Callable[[], datetime] = now,
        resolve: Resolve = addresses_of,
        seconds: float = SECONDS,
    ) -> None:
        self._database, self._clock, self._resolve, self._seconds = database, clock, resolve, seconds
        self._secret = settings.signing_secret.get_secret_value().encode()
        self._rules, self._contents, self._tls = Rules.of(settings), Contents(settings), trusted()
        self._busy: dict[UUID, bool] = {}  # -> whether it counts as slow
        self._known: dict[UUID, _Known] = {}
        self._made = 0
        self._free = threading.Condition()
        self._stopped, self._wake = threading.Event(), threading.Event()
        self._leads_until = self._complain_at = 0.0
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def __enter__(self) -> "Sender":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._wake.set()
        self.wait(END_SECONDS)  # who is told by then is told once

    def lead(self) -> None:
        """The dispatcher leads at this moment."""
        self._leads_until = time.monotonic() + LEAD_SECONDS

    def round(self) -> int:
        """Begins all tries that are due and for which there is room; returns how many.

        Raises:
            DatabaseUnavailable
        """
        waiting = [hook for hook in webhook_queue.due(self._database, self._clock()) if hook not in self._busy]
        waiting.sort(key=lambda hook: self._known[hook].number if hook in self._known else 0)  # by turns
        begun = 0
        for hook in waiting:
            if self._take(hook):
                self._begin(hook)
                begun += 1
        return begun

    def wait(self, seconds: float) -> bool:
        """Waits until no try is under way; returns whether that came to be."""
        with self._free:
            return self._free.wait_for(lambda: not self._busy, timeout=seconds)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            if time.monotonic() < self._leads_until:
                try:
                    self.round()
                except TransientError as error:
                    self._complain(error)
                except Exception:
                    log.exception("sending failed; it is tried again")
            self._wake.wait(LOOK_SECONDS)

    def _take(self, hook: UUID) -> bool:
        slow = hook in self._known and self._known[hook].slow
        with self._free:
            if len(self._busy) >= MOST or (slow and sum(self._busy.values()) >= MOST_SLOW):
                return False
            self._busy[hook] = slow
            return True

    def _begin(self, hook: UUID) -> None:
        try:
            threading.Thread(target=self._serve, args=(hook,), name="webhook", daemon=True).start()
        except RuntimeError:  # the machine has no thread left for us
            with self._free:
                del self._busy[hook]
            raise

    def _serve(self, hook: UUID) -> None:
        made: Try | None = None
        slow = True
        try:
            made = webhook_queue.claim(self._database, hook, self._clock(), lease=LEASE)
            if made is not None:
                slow = self._make(made)
        except TransientError as error:
            self._complain(error)
        except Exception:
            log.exception("webhook %s: a try failed; it is made again", hook)
        finally:
            with self._free:
                del self._busy[hook]
                self._made += 1
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[hook] = _Known(number=self._made, slow=slow)
                self._free.notify_all()
            if made is not None:  # else nothing has changed, and who looks at once finds the same
                self._wake.set()

    def _make(self, made: Try) -> bool:
        """Makes a try and writes down what came of it; returns whether it was slow."""
        began = time.monotonic()
        outcome = self._outcome(made)
        slow = time.monotonic() - began > SLOW_SECONDS
        if outcome.error is not None:
            log.info(
                "webhook %s: delivery %s, try %d: %s", made.webhook_id, made.delivery_id, made.number, outcome.error
            )
        webhook_queue.settle(self._database, made, outcome, self._clock())
        return slow

    def _outcome(self, made: Try) -> Outcome:
        try:
            answer = self._post(made)
        except NoAnswer as error:
            return self._failed(made, str(error))
        if 200 <= answer.status < 300:
            return Outcome(status_code=answer.status)
        if answer.status == GONE:
            return Outcome(status_code=GONE, error="It answered 410: the webhook was switched off.", gone=True)
        sentence = f"It answered {answer.status}."
        if 300 <= answer.status < 400:
            sentence = f"It answered {answer.status}; redirects are not followed."
        return self._failed(made, sentence, answer)

    def _failed(self, made: Try, sentence: str, answer: Answer | None = None) -> Outcome:
        after = None if answer is None else answer.retry_after_seconds
        again_at = next_try(made.created_at, made.number, self._clock(), random.random(), after)
        return Outcome(status_code=None if answer is None else answer.status, error=sentence, again_at=again_at)

    def _post(self, made: Try) -> Answer:
        try:
            to = destination(made.url, self._rules)
        except BadUrl as error:
            raise NoAnswer(f"The URL {error}.") from None
        try:
            secret = webhook_secrets.secret_of(self._secret, made.salt)
        except webhook_secrets.SecretChanged:
            log.error("webhook %s: SPLATFLOW_SIGNING_SECRET is not what its secret was made of", made.webhook_id)
            raise NoAnswer("The service's signing secret has changed; rotate the webhook's secret.") from None
        body = self._contents.body(made.body)
        headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", AGENT),
            ("Splatflow-Event", made.event),
            ("Splatflow-Delivery", str(made.delivery_id)),
            ("Splatflow-Signature", webhook_secrets.signature(secret, body, int(self._clock().timestamp()))),
        ]
        return post(to, headers, body, rules=self._rules, tls=self._tls, resolve=self._resolve, seconds=self._seconds)

    def _complain(self, error: TransientError) -> None:
        if time.monotonic() >= self._complain_at:
            self._complain_at = time.monotonic() + COMPLAIN_SECONDS
            log.warning("sending: %s It is tried again.", error)

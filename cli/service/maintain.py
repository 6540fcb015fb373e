"""`splatflow maintain`: a round of housekeeping now, for people on the machine of the service; the same that the flow `maintain` does."""

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from cli.service import keys
from cli.service.folder import DataFolder
from storage.settings import load_settings
from tasks.errors import SplatflowError

Say = Callable[[str], None]
T = TypeVar("T")


def maintain(data: Path | None, *, dry_run: bool, min_age_seconds: float | None, say: Say) -> dict[str, Any]:
    """One round on the database and the store of the settings, or of the data folder `data`; returns its report.

    A part that can't be done is told in the report, and the rest is done.

    Args:
        dry_run: removes nothing.
        min_age_seconds: objects that were written later stay; None: as the flow has it.
        say: takes lines of progress.

    With a group at work in the folder, its Prefect is asked too.

    Raises:
        BadOption, DataUnusable, DatabaseUnavailable
    """
    settings = load_settings()
    if data is not None:
        settings = settings.model_copy(update={"data": data})
    state = DataFolder(settings.data_folder).running()
    if state is not None and "PREFECT_API_URL" not in os.environ:
        os.environ["PREFECT_API_URL"] = f"{state.prefect_url}/api"  # read when Prefect is imported

    from flows import round_report
    from flows.clearing import MIN_AGE, PARTS, Cleared, Round
    from storage import actions, ledger
    from storage.objects import open_store
    from storage.tables import now

    with keys.opened(data) as database:
        min_age = MIN_AGE if min_age_seconds is None else timedelta(seconds=min_age_seconds)
        this = Round(
            database=database, objects=open_store(settings), settings=settings, dry_run=dry_run, min_age=min_age
        )
        problems: dict[str, str] = {}

        def tried(part: str, act: Callable[[], T], otherwise: T) -> T:
            say(f"{part} ...")
            try:
                return act()
            except SplatflowError as error:
                problems[part] = str(error)
            except Exception as error:  # a defect: told as well, and the other parts are done
                problems[part] = f"{type(error).__name__}: {error}"
            return otherwise

        began_at, began = now(), time.monotonic()
        cleared: list[Cleared] = []
        for name, part in PARTS.items():
            cleared += tried(name, lambda part=part: part(this), [])
        none: ledger.Ledger | None = None
        balance = tried("store against rows", lambda: ledger.read(database, this.objects), none)
        if balance is not None and not dry_run:
            tried("figures for /metrics", lambda: ledger.tell(database, balance), None)
        done = actions.newest(database, limit=round_report.SHOWN_ACTIONS, within=timedelta(days=1))
        return round_report.report(
            dry_run=dry_run,
            began_at=began_at,
            seconds=time.monotonic() - began,
            cleared=cleared,
            problems=problems,
            ledger=balance,
            actions=done,
        )


def show(found: dict[str, Any], *, as_json: bool) -> None:
    """Prints the report."""
    from flows import round_report

    print(json.dumps(found) if as_json else round_report.text(found))

"""What one answer of /metrics costs with many jobs in the database: python -m benchmarks.scrape [--jobs N]

Makes a database of its own (SQLite, or the empty one at --database-url), fills it as `benchmarks.load_fill` does, adds every figure
that can be counted and an answer of every route, and times reading the rows and writing the text.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from api.app import create_app
from api.metrics import Metrics
from benchmarks.load_fill import fill
from storage import measures, tally
from storage.database import Database
from storage.objects import open_store
from storage.settings import Settings

TIMES = 20
ROUTES, STATUSES = 30, (200, 400, 404, 429)


def main() -> None:
    """Prints one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--database-url", default="")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), database_url=args.database_url)
        database = Database(settings.database)
        database.migrate()
        fill(database, args.jobs)
        _count_everything(database)
        metrics: Metrics = create_app(settings, database, open_store(settings)).state.service.metrics
        for route in range(ROUTES):
            for status in STATUSES:
                metrics.observe("GET", f"/api/v1/{route}/", status, 0.01)
        reading, writing, working, text = [], [], [], b""
        for _ in range(TIMES):
            metrics.forget_reading()
            worked = time.process_time()
            start = time.perf_counter()
            metrics.read_rows(database)
            middle = time.perf_counter()
            text = metrics.text()
            reading.append(1000 * (middle - start))
            writing.append(1000 * (time.perf_counter() - middle))
            working.append(1000 * (time.process_time() - worked))
        database.close()
    whole = [a + b for a, b in zip(reading, writing, strict=True)]
    told = {"jobs": args.jobs, "lines": text.count(b"\n"), "bytes": len(text)}
    told |= {"reading_ms": round(statistics.median(reading), 1), "writing_ms": round(statistics.median(writing), 1)}
    told["processor_ms"] = round(statistics.median(working), 1)  # of this process; what a busy machine leaves as it is
    print(json.dumps({**told, "whole_ms": round(statistics.median(whole), 1), "slowest_ms": round(max(whole), 1)}))


def _count_everything(database: Database) -> None:
    spreads = [(family, labels) for family in measures.SPREADS for labels in family.known]
    with database.write() as session:
        tally.add(
            session,
            *(
                family.one(**dict(zip(family.labels, labels, strict=True)))
                for family in measures.COUNTS
                for labels in family.known
            ),
            *(
                family.of(bound, **dict(zip(family.labels, labels, strict=True)))
                for family, labels in spreads
                for bound in family.bounds
            ),
        )


if __name__ == "__main__":
    main()

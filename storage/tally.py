"""Figures for operators that outlive processes: counters and histograms as rows, added to in the transaction that they count.

Runs end in processes of their own, on several machines, and several APIs may serve `/metrics`. A counter in one process's memory
would be lost with it and be different everywhere. A row that the same transaction adds to that ends a step or a job is right
whatever dies, counts nothing twice, never falls when a job is deleted, and reads the same from every API (docs/decisions/0019).

What is counted is in `storage.measures`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlmodel import Session, col

from storage.database import Database
from storage.tables import Tally

SUM, REST = "sum", "+Inf"
Labels = tuple[str, ...]

_ADD = text(
    "INSERT INTO tally (name, labels, part, value) VALUES (:name, :labels, :part, :value) "
    "ON CONFLICT (name, labels, part) DO UPDATE SET value = tally.value + excluded.value"
)
_PUT = text(
    "INSERT INTO tally (name, labels, part, value) VALUES (:name, :labels, :part, :value) "
    "ON CONFLICT (name, labels, part) DO UPDATE SET value = excluded.value"
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one row is to be raised by, or set to."""

    name: str
    labels: str
    part: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Family:
    """A figure, or one for each value of its labels.

    Attributes:
        name: as Prometheus knows it, without `_total`.
        help: one sentence.
        labels: names of the labels.
        known: values of the labels that are there from the beginning, as 0: a counter that appears with its first event hides it.
    """

    name: str
    help: str
    labels: Labels = ()
    known: tuple[Labels, ...] = ((),)

    def _key(self, labels: Mapping[str, str]) -> str:
        if tuple(labels) != self.labels:
            raise ValueError(f"{self.name} has the labels {self.labels}, not {tuple(labels)}.")
        return json.dumps(list(labels.values()))


@dataclass(frozen=True, kw_only=True)
class Count(Family):
    """How often something happened."""

    def one(self, **labels: str) -> list[Change]:
        """It happened once."""
        return self.by(1.0, **labels)

    def by(self, value: float, **labels: str) -> list[Change]:
        """It happened so often, or so much of it."""
        return [Change(name=self.name, labels=self._key(labels), part="", value=value)]


@dataclass(frozen=True, kw_only=True)
class Level(Family):
    """What was measured last."""

    known: tuple[Labels, ...] = ()

    def at(self, value: float, **labels: str) -> list[Change]:
        """It is so much now."""
        return [Change(name=self.name, labels=self._key(labels), part="", value=value)]


@dataclass(frozen=True, kw_only=True)
class Spread(Family):
    """How often something took how long.

    Attributes:
        bounds: of the buckets, in seconds, rising; what is above the last one is counted as well.
    """

    bounds: tuple[float, ...]

    def of(self, value: float, **labels: str) -> list[Change]:
        """It took so long; less than nothing (two machines' clocks) is nothing."""
        value = max(0.0, value)
        part = next((bound_text(bound) for bound in self.bounds if value <= bound), REST)
        key = self._key(labels)
        return [
            Change(name=self.name, labels=key, part=part, value=1.0),
            Change(name=self.name, labels=key, part=SUM, value=value),
        ]


def bound_text(bound: float) -> str:
    """A bucket's bound as Prometheus writes it."""
    return repr(float(bound))


def add(session: Session, *changes: Iterable[Change]) -> None:
    """Within a transaction: raises the rows. To be its last statement, since it holds rows that other transactions raise too;
    in one order, so that no two wait for each other.
    """
    sums: dict[tuple[str, str, str], float] = {}
    for change in (change for group in changes for change in group):
        key = (change.name, change.labels, change.part)
        sums[key] = sums.get(key, 0.0) + change.value
    if sums:
        session.flush()
        session.connection().execute(_ADD, [_row(*key, value) for key, value in sorted(sums.items())])


def put(database: Database, *changes: Iterable[Change]) -> None:
    """Sets levels.

    Raises:
        DatabaseUnavailable
    """
    rows = sorted((change.name, change.labels, change.part, change.value) for group in changes for change in group)
    with database.write() as session:
        session.connection().execute(_PUT, [_row(*row) for row in rows])


def read(session: Session) -> dict[str, dict[Labels, dict[str, float]]]:
    """All rows: by name, by values of the labels, by part."""
    found: dict[str, dict[Labels, dict[str, float]]] = {}
    columns = select(col(Tally.name), col(Tally.labels), col(Tally.part), col(Tally.value))
    for name, labels, part, value in session.connection().execute(columns):
        found.setdefault(name, {}).setdefault(tuple(json.loads(labels)), {})[part] = value
    return found


def _row(name: str, labels: str, part: str, value: float) -> dict[str, str | float]:
    return {"name": name, "labels": labels, "part": part, "value": value}

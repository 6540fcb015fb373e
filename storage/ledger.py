"""The byte ledger: what the object store has, held against what rows say. Lists all objects and reads all jobs: for a background job.

On a service at rest both agree, to the byte, once housekeeping has been through. While jobs are at work an object may be written a
moment before the row that names it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from storage import claims, footprint, tally
from storage.claims import HELD, SAID, STRAY, Claim
from storage.database import Database
from storage.footprint import CLASSES, class_of
from storage.measures import STORE_UNACCOUNTED
from storage.objects import ObjectStore

LISTED = 5_000  # objects between two looks at the rows
NAMED = 20  # keys that a ledger names as examples


@dataclass(kw_only=True)
class Line:
    """One class of objects (`storage.footprint`).

    Attributes:
        objects, stored: how many there are, and their bytes.
        said: bytes that rows say of what they name with its size: jobs' sources and files.
        held: bytes of what belongs to a job or an upload that has a row, which doesn't say how many: uploads, steps, results,
            previews, and whatever is in use.
        stray_objects, stray: what no row names, in objects and bytes.
        missing_objects, missing: what rows name and the store hasn't; bytes as far as rows say them.
    """

    kind: str
    objects: int = 0
    stored: int = 0
    said: int = 0
    held: int = 0
    stray_objects: int = 0
    stray: int = 0
    missing_objects: int = 0
    missing: int = 0

    @property
    def accounted(self) -> int:
        """Bytes that are there by what rows say."""
        return self.said + self.held

    @property
    def difference(self) -> int:
        """Bytes stored beyond what rows account for; less than 0: something is missing."""
        return self.stored - self.accounted


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The store against the rows.

    Attributes:
        lines: by class, in the order of `storage.footprint.CLASSES`.
        strays, missing, wrong: keys of some objects that no row names, that rows name in vain, and that have other sizes than rows say.
    """

    lines: tuple[Line, ...]
    strays: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def stored(self) -> int:
        """Bytes in the store."""
        return sum(line.stored for line in self.lines)

    @property
    def accounted(self) -> int:
        """Bytes that rows account for."""
        return sum(line.accounted for line in self.lines)

    @property
    def balanced(self) -> bool:
        """Whether there is nothing that no row names, nothing is missing, and every size is what rows say."""
        return not (self.strays or self.missing or self.wrong)


def read(database: Database, objects: ObjectStore) -> Ledger:
    """Holds the store against the rows.

    Raises:
        DatabaseUnavailable, StoreUnavailable
    """
    lines = {kind: Line(kind=kind) for kind in CLASSES}
    ledger = Ledger(lines=tuple(lines.values()))
    met: dict[UUID, int] = {}  # objects of each job that its row names
    for part in _parts(objects.sizes("")):
        owners = {key: job_of(key) for key, _ in part}
        known = claims.known_uploads(database, (key for key, _ in part if class_of(key) == "uploads"))
        jobs = claims.of_jobs(database, {job for job in owners.values() if job is not None})
        for key, size in part:
            line, owner = lines[class_of(key)], owners[key]
            claim = jobs.get(owner) if owner is not None else None
            standing = claim.standing(key) if claim is not None else HELD if key in known else STRAY
            line.objects, line.stored = line.objects + 1, line.stored + size
            if standing == STRAY:
                line.stray_objects, line.stray = line.stray_objects + 1, line.stray + size
                _name(ledger.strays, key)
            elif standing == HELD or claim is None:
                line.held += size
            else:
                line.said += claim.sized[key]
                if claim.sized[key] != size:
                    _name(ledger.wrong, key)
            if owner is not None and claim is not None and (standing == SAID or key == claim.preview):
                met[owner] = met.get(owner, 0) + 1
    for job_id, claim in _all_jobs(database):
        if met.get(job_id, 0) != len(claim.named):
            _missing(database, objects, job_id, claim, lines, ledger)
    return ledger


def tell(database: Database, ledger: Ledger) -> None:
    """Writes down for `/metrics` what was found.

    Raises:
        DatabaseUnavailable
    """
    footprint.tell(database, {line.kind: line.stored for line in ledger.lines})
    tally.put(database, STORE_UNACCOUNTED.at(ledger.stored - ledger.accounted))


def job_of(key: str) -> UUID | None:
    """The job below whose prefix an object is; None when it is below none."""
    top, _, rest = key.partition("/")
    if top != "jobs":
        return None
    try:
        job_id = UUID(rest.partition("/")[0])
    except ValueError:
        return None
    return job_id if key.startswith(f"jobs/{job_id}/") else None  # no other spelling of it


def _missing(
    database: Database, objects: ObjectStore, job_id: UUID, claim: Claim, lines: dict[str, Line], ledger: Ledger
) -> None:
    gone = [key for key in claim.named if objects.stat(key) is None]
    if not gone:
        return
    still = claims.of_jobs(database, [job_id]).get(job_id)  # the row may have changed since the listing
    for key in gone:
        if still is None or key not in still.named:
            continue
        line, size = lines[class_of(key)], still.sized.get(key, 0)
        line.missing_objects, line.missing, line.said = line.missing_objects + 1, line.missing + size, line.said + size
        _name(ledger.missing, key)


def _all_jobs(database: Database) -> Iterator[tuple[UUID, Claim]]:
    after = None
    while part := claims.of_all(database, after):
        yield from part.items()
        after = list(part)[-1]


def _parts(found: Iterable[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    rest = iter(found)
    while part := list(islice(rest, LISTED)):
        yield part


def _name(keys: list[str], key: str) -> None:
    if len(keys) < NAMED:
        keys.append(key)

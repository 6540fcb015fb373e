"""Which of several dispatchers acts."""

from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from storage.database import Database
from storage.tables import Leader


class Leadership:
    """Which of several dispatchers acts: the one whose beat moves. A new one waits until the old one stands still."""

    def __init__(self, database: Database, *, name: str = "dispatcher", patience_seconds: float) -> None:
        self._database, self._name, self._patience = database, name, patience_seconds
        self._token = uuid4()
        self._seen: tuple[UUID, int] | None = None
        self._seen_at = 0.0

    def held(self, at: float) -> bool:
        """Whether this one may act now; call it before every round.

        Args:
            at: seconds of a monotonic clock of this process.
        """
        try:
            with self._database.write() as session:
                row = session.scalars(select(Leader).where(col(Leader.name) == self._name).with_for_update()).first()
                if row is None:
                    session.add(Leader(name=self._name, token=self._token, beat=1))
                    return True
                if row.token == self._token:
                    row.beat += 1
                    session.add(row)
                    return True
                if self._seen != (row.token, row.beat):
                    self._seen, self._seen_at = (row.token, row.beat), at
                    return False
                if at - self._seen_at < self._patience:
                    return False
                row.token, row.beat = self._token, 1
                session.add(row)
                return True
        except IntegrityError:  # another one made the row at the same moment
            return False

    def resign(self) -> None:
        """Lets the next one act at once."""
        with self._database.write() as session:
            session.execute(delete(Leader).where(col(Leader.name) == self._name, col(Leader.token) == self._token))

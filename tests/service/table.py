"""The campaign's results as a table for people."""

from dataclasses import dataclass, field

HEAD = """# What was killed, and what became of the job

`python -m benchmarks.crashes` makes this table: a group of one machine with the default settings, a made clip of 16 frames,
each row a job of its own. "Noticed" is the time from the kill to the new attempt (of a job) or to the new process (of a part
whose death costs no attempt). "Done again" names the finished steps that were not found again.

| killed | during | job | noticed, s | attempts | steps done again | training went on at | ended after, s |
|---|---|---|---|---|---|---|---|
"""


@dataclass
class Table:
    """Rows in the order in which they were measured."""

    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(
        self,
        what: str,
        when: str,
        outcome: str,
        *,
        noticed: float | None = None,
        attempts: int | str = 1,
        again: str = "none",
        went_on: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """A measured case."""
        self.rows.append(
            (
                what,
                when,
                outcome,
                "" if noticed is None else f"{noticed:.0f}",
                str(attempts),
                again,
                "" if went_on is None else f"{went_on} %",
                "" if seconds is None else f"{seconds:.0f}",
            )
        )

    def markdown(self) -> str:
        """The whole page."""
        return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in self.rows)

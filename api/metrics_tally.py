"""What rows have counted (`storage.tally`), as Prometheus' counters and histograms."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlmodel import Session

from storage import measures, tally
from storage.tally import REST, SUM, Count, Family, Labels, Level, Spread, bound_text

Rows = Mapping[Labels, Mapping[str, float]]


class TallyCollector(Collector):
    """The figures of the last `read`: the same from every API, whichever is asked."""

    def __init__(self) -> None:
        self._found: list[Metric] = []

    def read(self, session: Session) -> None:
        """Reads the rows: some hundreds, however many jobs there were.

        Raises:
            DatabaseUnavailable
        """
        rows = tally.read(session)
        self._found = [
            *(_counter(family, rows.get(family.name, {})) for family in measures.COUNTS),
            *(_gauge(family, rows.get(family.name, {})) for family in measures.LEVELS),
            *(_histogram(family, rows.get(family.name, {})) for family in measures.SPREADS),
        ]

    def forget(self) -> None:
        """Tells nothing until the next `read`."""
        self._found = []

    def collect(self) -> Iterator[Metric]:
        yield from self._found


def _counter(family: Count, rows: Rows) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for labels in _all(family, rows):
        metric.add_metric(labels, rows.get(labels, {}).get("", 0.0))
    return metric


def _gauge(family: Level, rows: Rows) -> Metric:
    metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels in _all(family, rows):
        metric.add_metric(labels, rows.get(labels, {}).get("", 0.0))
    return metric


def _histogram(family: Spread, rows: Rows) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for labels in _all(family, rows):
        parts = dict(rows.get(labels, {}))
        metric.add_metric(labels, _cumulated(parts, family.bounds), sum_value=parts.get(SUM, 0.0))
    return metric


def _cumulated(parts: Mapping[str, float], bounds: Iterable[float]) -> list[tuple[str, float]]:
    """Buckets that each include the ones before. Those that an older version counted in are kept."""
    texts = {*map(bound_text, bounds), *(part for part in parts if part not in (SUM, REST))}
    total, found = 0.0, []
    for text in (*sorted(texts, key=float), REST):
        total += parts.get(text, 0.0)
        found.append((text, total))
    return found


def _all(family: Family, rows: Rows) -> list[Labels]:
    return [
        *family.known,
        *sorted(labels for labels in rows if labels not in family.known and len(labels) == len(family.labels)),
    ]

"""Turns between accounts and classes, over whatever waits."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import combinations
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.admission import Rules, Served, Start, Waiting, order, to_release
from storage.tables import BATCH, INTERACTIVE, PRIORITIES

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS = [UUID(int=n) for n in range(1, 5)]
SECONDS = st.integers(0, 30).map(lambda n: BEGIN + timedelta(seconds=n))
A, B, C = ACCOUNTS[:3]


def job(number: int, account: UUID, priority: str = INTERACTIVE, at: int = 0, **values) -> Waiting:
    return Waiting(UUID(int=1000 + number), account, priority, BEGIN + timedelta(seconds=at), **values)


@st.composite
def queues(draw: st.DrawFn) -> list[Waiting]:
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(ACCOUNTS), st.sampled_from(PRIORITIES), SECONDS, st.integers(0, 9), st.booleans()
            ),
            max_size=25,
        )
    )
    return [
        Waiting(UUID(int=1000 + n), account, priority, at, dice == 0, UUID(int=2000 + n) if released else None)
        for n, (account, priority, at, dice, released) in enumerate(drawn)
    ]


served_ones = st.builds(
    lambda at_work, starts: Served(at_work=at_work, starts=starts),
    st.dictionaries(st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(PRIORITIES)), st.integers(1, 4)),
    st.lists(st.builds(Start, st.sampled_from(ACCOUNTS), st.sampled_from(PRIORITIES), SECONDS), max_size=10),
)
rules_ones = st.builds(
    lambda every, ahead, own: Rules(batch_every=every, release_ahead=ahead, release_per_account=own),
    st.integers(1, 6),
    st.integers(1, 8),
    st.integers(1, 5),
)


@settings(deadline=None, max_examples=60)
@given(queues(), served_ones, rules_ones, st.randoms())
def test_every_waiting_job_has_one_place_however_the_rows_come(waiting, served, rules, chooser):
    ordered = order(waiting, served, rules)
    assert sorted(ordered) == sorted(waiting)
    shuffled = list(waiting)
    chooser.shuffle(shuffled)
    assert order(shuffled, served, rules) == ordered


@settings(deadline=None, max_examples=60)
@given(queues(), served_ones, rules_ones)
def test_interrupted_first_and_within_an_account_and_class_who_came_first(waiting, served, rules):
    ordered = order(waiting, served, rules)
    interrupted = [one.interrupted for one in ordered]
    assert interrupted == sorted(interrupted, reverse=True)
    for account in ACCOUNTS:
        for priority in PRIORITIES:
            own = [o.since for o in ordered if (o.account_id, o.priority, o.interrupted) == (account, priority, False)]
            assert own == sorted(own)


@settings(deadline=None, max_examples=60)
@given(queues(), served_ones, rules_ones)
def test_nobody_waits_for_more_than_one_job_of_another_at_each_turn(waiting, served, rules):
    """While two accounts both have jobs waiting, what each has had differs by one at most, or as little as at the beginning."""
    for priority in PRIORITIES:
        ordered = [one for one in order(waiting, served, rules) if one.priority == priority and not one.interrupted]
        for a, b in combinations(ACCOUNTS, 2):
            left = Counter(one.account_id for one in ordered)
            had = Counter({account: n for (account, kind), n in served.at_work.items() if kind == priority})
            before = abs(had[a] - had[b])
            for one in ordered:
                if not (left[a] and left[b]):
                    break
                had[one.account_id] += 1
                left[one.account_id] -= 1
                assert abs(had[a] - had[b]) <= max(1, before)


@settings(deadline=None, max_examples=60)
@given(queues(), served_ones, rules_ones)
def test_batch_has_its_share_and_no_more_while_others_wait(waiting, served, rules):
    ordered = [one for one in order(waiting, served, rules) if not one.interrupted]
    kinds = [one.priority for one in ordered]
    run = 0
    for at, kind in enumerate(kinds):
        if kind == BATCH:
            run = 0
        else:
            run += 1
            assert run < rules.batch_every or BATCH not in kinds[at:]
    if BATCH in kinds and INTERACTIVE in kinds:
        first = kinds.index(BATCH)
        for at in range(first + 1, len(kinds)):
            if INTERACTIVE in kinds[at:] and kinds[at] == BATCH:
                assert kinds[at - rules.batch_every + 1 : at].count(INTERACTIVE) == rules.batch_every - 1


@settings(deadline=None, max_examples=60)
@given(queues(), served_ones, rules_ones, st.integers(0, 5))
def test_a_few_are_released_and_no_account_beyond_its_limits(waiting, served, rules, limit):
    ordered = order(waiting, served, rules)
    put_off = {one.id for one in waiting[::3]}
    chosen = to_release(ordered, served, rules, put_off=put_off, running_limit=lambda account: limit)
    assert [one for one in ordered if one in chosen] == chosen
    assert all(one.run_id is None and one.id not in put_off for one in chosen)
    assert len(chosen) <= rules.release_ahead + sum(served.at_work.values())
    busy = Counter(one.account_id for one in waiting if one.run_id)
    for (account, _), count in served.at_work.items():
        busy[account] += count
    for account, new in Counter(one.account_id for one in chosen).items():
        assert busy[account] + new <= limit
    free = to_release(ordered, served, rules)
    assert free or all(one.run_id for one in ordered[: rules.release_ahead]) or _full(ordered, rules)


def _full(ordered: list[Waiting], rules: Rules) -> bool:
    """Whether each account and class that has more has as many at Prefect as it may."""
    own = Counter((one.account_id, one.priority) for one in ordered if one.run_id)
    return all(own[one.account_id, one.priority] >= rules.release_per_account for one in ordered if not one.run_id)


def test_two_hundred_of_one_account_delay_nobody():
    crowd = [job(n, A, at=n) for n in range(200)]
    late = [job(900, B, at=500), job(901, B, at=501), job(902, C, at=502)]
    ordered = order([*crowd, *late], Served(at_work={(A, INTERACTIVE): 1}), Rules())
    assert [one.account_id for one in ordered[:7]] == [B, C, A, B, A, A, A]
    assert ordered[:2] == [late[0], late[2]]
    chosen = to_release(ordered, Served(at_work={(A, INTERACTIVE): 1}), Rules())
    assert chosen[:2] == [late[0], late[2]]


def test_who_was_served_longest_ago_is_next():
    starts = [Start(A, INTERACTIVE, BEGIN + timedelta(seconds=2)), Start(B, INTERACTIVE, BEGIN + timedelta(seconds=1))]
    ordered = order([job(1, A, at=0), job(2, B, at=1), job(3, C, at=2)], Served(starts=starts), Rules())
    assert [one.account_id for one in ordered] == [C, B, A]


def test_batch_waits_for_interactive_jobs_and_is_counted_from_when_it_came():
    starts = [Start(A, INTERACTIVE, BEGIN + timedelta(seconds=n)) for n in range(9)]
    fresh = [job(0, A, BATCH, at=20), *(job(n, B, at=30 + n) for n in range(1, 7))]
    kinds = [one.priority for one in order(fresh, Served(starts=starts), Rules(batch_every=3))]
    assert kinds == [INTERACTIVE] * 2 + [BATCH] + [INTERACTIVE] * 4, "starts before it waited don't count"
    waited = [job(0, A, BATCH, at=6), *fresh[1:]]
    assert order(waited, Served(starts=starts), Rules(batch_every=3))[0].priority == BATCH


def test_batch_at_prefect_keeps_nothing_interactive_of_its_account_from_being_released():
    batch = [job(n, A, BATCH, run_id=UUID(int=n + 1)) for n in range(4)]
    new = job(9, A, at=5)
    assert to_release(order([*batch, new], Served(), Rules()), Served(), Rules()) == [new]


@settings(deadline=None, max_examples=60)
@given(queues(), served_ones, rules_ones)
def test_with_one_job_at_a_time_all_start_in_the_order_that_was_told(waiting, served, rules):
    told = order(waiting, Served(starts=served.starts), rules)
    left, starts, clock, had = list(waiting), list(served.starts), BEGIN + timedelta(hours=1), []
    at_work: dict[tuple[UUID, str], int] = {}
    while left:
        first = order(left, Served(at_work=at_work, starts=starts), rules)[0]
        left.remove(first)
        had.append(first)
        clock += timedelta(minutes=1)
        if not first.interrupted:
            starts.append(Start(first.account_id, first.priority, clock))
        at_work = {}
    assert had == told

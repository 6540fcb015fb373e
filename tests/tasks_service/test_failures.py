"""What a client is told: a code, a sentence, and nothing of the machine."""

import pytest

import tasks.errors
from storage.database import DatabaseUnavailable
from storage.objects import StoreUnavailable
from tasks.errors import DiskFull, InputError, OutOfMemory, SplatflowError, TransientError
from tasks.process.runner import StepDefect, StepKilled
from tasks.service.archive import OutputLost
from tasks.service.failures import INTERNAL, INTERNAL_MESSAGE, told
from tasks.service.policy import worth_retrying

ALL = [
    error
    for error in vars(tasks.errors).values()
    if isinstance(error, type) and issubclass(error, SplatflowError) and error is not SplatflowError
]
OURS = [StoreUnavailable, DatabaseUnavailable, StepKilled, OutputLost]


class State:
    """A state as Prefect hands it to a retry condition."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def result(self, *, raise_on_failure: bool) -> BaseException:
        assert not raise_on_failure
        return self._error


@pytest.mark.parametrize("kind", [*ALL, *OURS])
def test_the_code_is_the_errors_and_the_sentence_holds_no_path(kind: type[SplatflowError]):
    code, sentence = told(kind("/srv/data/work/4f/source.mp4 on host-7 can't be used; see '/var/log/x.log'."))
    assert code == kind.slug
    assert "/srv" not in sentence
    assert "/var" not in sentence
    assert sentence.endswith(".")


def test_an_input_errors_sentence_is_told_as_it_is():
    text = "source.mp4 has 3 frames at 24/1 fps, and/or none; film longer (see images/a.jpg)."
    assert told(InputError(text)) == ("bad_input", text)


@pytest.mark.parametrize(
    "error", [None, RuntimeError("/a/b"), StepDefect("/a/b", "trace"), SplatflowError("/a/b"), OSError(5, "x")]
)
def test_everything_else_is_ours(error: BaseException | None):
    assert told(error) == (INTERNAL, INTERNAL_MESSAGE)


@pytest.mark.parametrize("kind", ALL)
def test_only_transient_errors_are_worth_a_retry(kind: type[SplatflowError]):
    assert worth_retrying(None, None, State(kind("x"))) is issubclass(kind, TransientError)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (StoreUnavailable("x"), True),
        (DatabaseUnavailable("x"), True),
        (StepKilled("x"), True),
        (OutputLost("x"), False),
        (OutOfMemory("x"), False),
        (DiskFull("x"), False),
        (StepDefect("x", ""), False),
        (RuntimeError("x"), False),
    ],
)
def test_services_that_are_away_and_kills_are_worth_a_retry(error: BaseException, again: bool):
    assert worth_retrying(None, None, State(error)) is again

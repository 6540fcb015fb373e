"""Run one of our functions in a child process.

The mappers are single C++ calls of many seconds that nothing interrupts, take memory that is not given back, and abort the
whole process when one of their checks fails. In a child they can be stopped at once, and they may set thread counts and
random seeds, which are global to a process, as they like. The child ends by itself when its parent is gone.
"""

import contextlib
import importlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks import errors

Progress = Callable[[int, int, str], None]
BEAT_SECONDS = 0.5


def _error_classes() -> dict[str, type[errors.SplatflowError]]:
    classes: dict[str, type[errors.SplatflowError]] = {}
    todo = [errors.SplatflowError]
    while todo:
        kind = todo.pop()
        classes[kind.slug] = kind
        todo.extend(kind.__subclasses__())
    return classes


def run_in_child(function: str, arguments: dict[str, Any], progress: Progress, *, num_threads: int) -> Any:
    """Call `function` ("package.module:name") as `name(arguments, progress)` in a child process and return what it returns.

    Arguments and result travel as JSON. `progress` is called here at least twice a second with what the child reported
    last; when it raises, the child is killed and the exception goes on.

    Raises:
        SplatflowError: of the same class as the child raised.
        OutOfMemory: the child was killed from outside.
        RuntimeError: it failed in any other way; the message holds the end of what it wrote.
    """
    root = Path(errors.__file__).resolve().parents[1]
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [environment.get("PYTHONPATH")])])
    # We run one job per thread, so libraries keep to one thread each; spinning OpenMP threads would starve them.
    environment.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS=str(num_threads), OMP_WAIT_POLICY="PASSIVE")
    process = subprocess.Popen(
        [sys.executable, "-m", "tasks.sfm.child", function],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        start_new_session=True,  # Ctrl-C in a terminal reaches us alone; we end the child
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    lines: queue.Queue[str | None] = queue.Queue()
    tail: list[str] = []

    def read_out() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    def read_err() -> None:
        for line in process.stderr or ():
            tail.append(line)
            del tail[:-40]

    readers = [threading.Thread(target=read_out, daemon=True), threading.Thread(target=read_err, daemon=True)]
    result: Any = None
    finished = False
    failure: tuple[str, str] | None = None
    latest = (0, 1, "")
    try:
        for reader in readers:
            reader.start()
        try:
            process.stdin.write(json.dumps(arguments) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once; the exit status says why
        while True:
            try:
                line = lines.get(timeout=BEAT_SECONDS)
            except queue.Empty:
                progress(*latest)
                continue
            if line is None:
                break
            kind, _, rest = line.partition(" ")
            if kind == "@progress":
                done, total, message = json.loads(rest)
                latest = (done, total, message)
                progress(*latest)
            elif kind == "@result":
                result, finished = json.loads(rest), True
            elif kind == "@error":
                slug, sentence = json.loads(rest)
                failure = (slug, sentence)
        status = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for reader in readers:
            reader.join(timeout=5)
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    if failure:
        raise _error_classes()[failure[0]](failure[1])
    if finished and status == 0:
        return result
    if status == -9:
        raise errors.OutOfMemory(
            "Structure from motion was killed, most likely for want of memory; close other programs or give fewer frames."
        )
    raise RuntimeError(f"{function} failed in a child process (status {status}):\n{''.join(tail)}")


def _watch_parent() -> None:
    """End when the parent does: it holds the other end of our standard input."""
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Entry of the child: read arguments, call the function, report on standard output."""
    arguments = json.loads(sys.stdin.readline())
    threading.Thread(target=_watch_parent, daemon=True).start()
    # C++ libraries may print to standard output; only we speak there.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lock = threading.Lock()

    def send(kind: str, content: Any) -> None:
        with lock:
            channel.write(f"@{kind} {json.dumps(content)}\n")
            channel.flush()

    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    try:
        result = function(arguments, lambda done, total, message: send("progress", [done, total, message]))
    except errors.SplatflowError as error:
        send("error", [error.slug, str(error)])
    else:
        send("result", result)
    # Skip destructors: a thread of a library may still be running.
    channel.close()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

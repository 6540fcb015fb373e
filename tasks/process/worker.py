"""A step in a process of its own: `python -m tasks.process.worker FD`, started by `tasks.process.runner`.

Its own process gives each step a clean memory and an exact peak of it, lets Ctrl-C end a step that is deep in native
code, and turns a kill for lack of memory into a sentence. The job comes pickled on standard input; one more byte there
asks the step to stop, the end of the stream says that the command line is gone, and takes this process with it.
"""

import io
import os
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

import tasks.errors
from tasks.errors import DiskFull, OutOfMemory, SplatflowError
from tasks.process.memory import end_me_first
from tasks.process.messages import Done, Failed, Job, Progressed, Stopped, plain_record
from tasks.process.outputs import disk_is_full, translate_os_error

TOO_LITTLE_MEMORY = "This machine has too little memory; lower --max-gaussians, --max-frames or --train-side-px."


class StopAsked(BaseException):
    """Raised out of `progress` when the command line wants an end. Not an Exception: no handler may swallow it."""


def main() -> None:
    """Runs the job from standard input and reports on the file descriptor given as the first argument."""
    reports = Connection(int(sys.argv[1]), readable=False)
    end_me_first()
    job: Job = pickle.load(sys.stdin.buffer)
    stop = threading.Event()
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()

    def progress(done: int, total: int, message: str) -> None:
        if stop.is_set():
            raise StopAsked
        reports.send(Progressed(done=int(done), total=int(total), message=str(message)))

    try:
        record = plain_record(job.resolve()(**job.arguments, progress=progress))
        reports.send(Done(record=record, peak_memory_bytes=peak_memory_bytes()))
    except (StopAsked, KeyboardInterrupt):
        reports.send(Stopped())
    except BaseException as error:
        known = explain(error, job.out)
        name = type(known).__name__ if known is not None else ""
        text = str(known) if known is not None else "".join(traceback.format_exception_only(error)).strip()
        reports.send(Failed(error=name, message=text, trace=traceback.format_exc()))
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: threads of native libraries must not delay or break the end.
    os._exit(0)


def explain(error: BaseException, out: Path) -> SplatflowError | None:
    """Our error for what went wrong, or None when it is a defect."""
    if isinstance(error, SplatflowError):
        return error if hasattr(tasks.errors, type(error).__name__) else None
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and (known := translate_os_error(cause, out)):
            return known
        if isinstance(cause, MemoryError) or type(cause).__name__ == "OutOfMemoryError":
            return OutOfMemory(TOO_LITTLE_MEMORY)
        cause = cause.__cause__ or cause.__context__
    # torch's CPU allocator, on Linux and elsewhere
    if isinstance(error, RuntimeError) and ("can't allocate memory" in str(error) or "not enough memory" in str(error)):
        return OutOfMemory(TOO_LITTLE_MEMORY)
    # Native libraries (SQLite, OpenCV, COLMAP) tell of a full disk each in its own words, or not at all.
    if disk_is_full(out):
        return DiskFull(f"The disk of {out} is full; free some space or choose another --out.")
    return None


def peak_memory_bytes() -> int:
    """Largest resident memory this process had (`VmHWM` where there is a /proc, else `getrusage`)."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _watch(stop: threading.Event) -> None:
    stream = sys.stdin.buffer
    assert isinstance(stream, io.BufferedReader)
    # read1: the unpickler left nothing behind, and a buffered read() would wait for the end of the stream
    while stream.read1(1):
        stop.set()
    os.killpg(0, signal.SIGKILL) if os.getpgid(0) == os.getpid() else os._exit(1)


if __name__ == "__main__":
    main()

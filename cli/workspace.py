"""The work folder `DIR/.splatflow/`: finished steps under their digests, half-made ones beside them, and the way a
result gets from there into DIR.

    .splatflow/
        lock                        held while a run is at work
        <step>/<digest>/            output of a finished step
        <step>/<digest>.json        its record, time, memory and the sizes of its files
        <step>/<digest>.part/       a step in the making; an interrupted training goes on from the checkpoint in it
        logs/<step>.log             what libraries printed
        publish/                    a complete result on its way into DIR
        replaced/                   what the result replaced, until all of it has arrived
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import InputError, MachineError, OutputUnwritable, SplatflowError
from tasks.process.messages import plain_value
from tasks.process.outputs import FREE_BYTES_NEEDED, output_errors

WORK_NAME = ".splatflow"
RESULT_MARK = "report.json"
# what not every result has, as its report names it
OPTIONAL = ("masks/", "mesh.glb", "turntable.mp4", "poster.jpg", "views.zip")
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished step.

    Attributes:
        folder: its output.
        record: its record, as JSON types.
        seconds: time it took when it was made.
        peak_memory_bytes: largest resident memory of its processes.
        reused: it was made by an earlier run.
    """

    folder: Path
    record: dict[str, Any]
    seconds: float
    peak_memory_bytes: int
    reused: bool


class Workspace:
    """The work folder of one result folder. Use `opened` to make one.

    Attributes:
        worth_keeping: the finished steps took long enough to be kept when the machine (not the input) fails.
    """

    def __init__(self, out: Path, *, fresh: bool) -> None:
        self.out = out
        self.root = out / WORK_NAME
        self.worth_keeping = False
        self._fresh = fresh  # this run made the work folder

    def log_path(self, step: str) -> Path:
        """Where a step's libraries write."""
        path = self.root / "logs" / f"{step}.log"
        path.parent.mkdir(exist_ok=True)
        return path

    def part(self, step: str, digest: str) -> Path:
        """Where a step is made: a path that may not exist yet, in a folder of its own that does."""
        path = self._container(step, digest) / "out"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def finished(self, step: str, digest: str) -> Finished | None:
        """The finished step of this digest, if there is one and all of its files are still there."""
        folder, note = self._folder(step, digest), self._note(step, digest)
        try:
            kept = json.loads(note.read_text())
            if _sizes(folder) != kept["files"]:
                return None
            return Finished(
                folder=folder,
                record=kept["record"],
                seconds=kept["seconds"],
                peak_memory_bytes=kept["peak_memory_bytes"],
                reused=True,
            )
        except (OSError, ValueError, KeyError):
            return None

    def finish(
        self, step: str, digest: str, *, record: dict[str, Any], seconds: float, peak_memory_bytes: int
    ) -> Finished:
        """Makes the half-made step a finished one: its folder's rename comes last, so a kill leaves no false claim."""
        part, folder, note = self.part(step, digest), self._folder(step, digest), self._note(step, digest)
        remove(folder)
        kept = {"record": record, "seconds": seconds, "peak_memory_bytes": peak_memory_bytes, "files": _sizes(part)}
        draft = note.with_suffix(".json.part")
        draft.write_text(json.dumps(kept, default=plain_value))
        draft.replace(note)
        part.rename(folder)
        remove(self._container(step, digest))
        return Finished(
            folder=folder, record=record, seconds=seconds, peak_memory_bytes=peak_memory_bytes, reused=False
        )

    def discard_part(self, step: str, digest: str) -> None:
        """Removes what a step that did not finish has written."""
        remove(self._container(step, digest))

    def drop(self, step: str) -> None:
        """Removes all that is kept of a step."""
        remove(self.root / step)

    def keep_only(self, digests: dict[str, str]) -> None:
        """After a success: removes steps of other options, half-made ones and logs; `--resume` needs only `digests`."""
        for folder in self.root.iterdir():
            digest = digests.get(folder.name)
            for path in folder.glob("*") if folder.is_dir() else ():
                if path.name not in (digest, f"{digest}.json"):
                    remove(path)
        remove(self.root / "logs")

    def publish(self, result: Path) -> None:
        """Moves a complete result into DIR by renames; an earlier result is out of the way only then.

        A kill in between is mended by the next run, which finishes the moves (see `opened`).
        """
        staged = self.root / "publish"
        remove(staged)
        result.rename(staged)
        self._finish_publishing()

    def _finish_publishing(self) -> None:
        staged, replaced = self.root / "publish", self.root / "replaced"
        if not staged.is_dir():
            return
        replaced.mkdir(exist_ok=True)
        for name in self._not_in_this_result(staged):
            remove(self.out / name)
        # The old report goes first and the new one comes last: a folder with a report is always a whole result.
        if (staged / RESULT_MARK).exists() and (self.out / RESULT_MARK).exists():
            (self.out / RESULT_MARK).replace(replaced / RESULT_MARK)
        for entry in sorted(staged.iterdir(), key=lambda p: (p.name == RESULT_MARK, p.name)):
            target = self.out / entry.name
            if target.is_dir() or target.is_symlink():
                remove(replaced / entry.name)
                target.rename(replaced / entry.name)
            entry.rename(target)
        remove(staged)
        remove(replaced)

    def _not_in_this_result(self, staged: Path) -> list[str]:
        """What an earlier result had and this one has not. By the report, which moves last, and not by what is still staged."""
        try:
            files = json.loads((staged / RESULT_MARK).read_text())["files"]
        except (OSError, ValueError, KeyError, TypeError):
            return []
        return [name for name in OPTIONAL if name not in files]

    def clean_up_after(self, error: BaseException) -> None:
        """Leaves nothing half-written; an earlier run's result and finished steps stay as they were.

        An input error takes all that this run made with it. When the machine failed, what took long stays for
        `--resume`. After Ctrl-C or a defect everything that a resumed run can use stays.
        """
        if isinstance(error, SplatflowError):
            for path in self.root.glob("*/*.part"):
                if isinstance(error, MachineError):
                    _keep_checkpoint_only(path)
                else:
                    remove(path)
        keep = self.worth_keeping and not isinstance(error, InputError)
        if self._fresh and not keep and (isinstance(error, SplatflowError) or not self._anything_to_resume()):
            remove(self.root)

    def _anything_to_resume(self) -> bool:
        return any(self.root.glob("*/*.json")) or any(self.root.glob(f"*/*.part/out/{CHECKPOINT}"))

    def clean(self) -> None:
        """Removes the whole work folder; a later `--resume` begins anew."""
        remove(self.root)

    def _container(self, step: str, digest: str) -> Path:
        return self.root / step / f"{digest}.part"

    def _folder(self, step: str, digest: str) -> Path:
        return self.root / step / digest

    def _note(self, step: str, digest: str) -> Path:
        return self.root / step / f"{digest}.json"


@contextmanager
def opened(out: Path) -> Iterator[Workspace]:
    """The work folder of `out`, made when missing and locked against a second run.

    Raises:
        OutputUnwritable: `out` can't be made or written, holds somebody else's files, or another run is at work in it.
        DiskFull: no room even for the folder.
    """
    out = out.absolute()
    made: list[Path] = []
    lock: int | None = None
    workspace: Workspace | None = None
    try:
        with output_errors(out):
            _refuse_foreign(out)
            _make_folder(out / WORK_NAME, made)
            lock = os.open(out / WORK_NAME / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            _lock_or_refuse(lock, out)
            workspace = Workspace(out, fresh=out / WORK_NAME in made)
            _check_room(out)
            workspace._finish_publishing()
        yield workspace
    except BaseException as error:
        if workspace is not None:
            workspace.clean_up_after(error)
        for folder in reversed(made):
            with suppress(OSError):  # not empty: something worth keeping is in it
                folder.rmdir()
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _refuse_foreign(out: Path) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        raise OutputUnwritable(f"{out} is not a folder; give the name of a new one with --out.")
    names = {p.name for p in out.iterdir()}
    if names and not names & {WORK_NAME, RESULT_MARK}:
        raise OutputUnwritable(f"{out} holds other files than a result of ours; give a new or empty folder with --out.")


def _make_folder(folder: Path, made: list[Path]) -> None:
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    for path in reversed(missing):
        path.mkdir()
        made.append(path)


def _check_room(out: Path) -> None:
    probe = out / WORK_NAME / "probe.part"
    try:
        probe.write_bytes(bytes(FREE_BYTES_NEEDED))
    finally:
        probe.unlink(missing_ok=True)


def _lock_or_refuse(lock: int, out: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputUnwritable(f"Another run is at work in {out}; wait for it or choose another --out.") from error


def _sizes(folder: Path) -> dict[str, int]:
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    return {str(p.relative_to(folder)): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder, whether it is there or not."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _keep_checkpoint_only(container: Path) -> None:
    checkpoint = container / "out" / CHECKPOINT
    if not checkpoint.is_file():
        remove(container)
        return
    for path in [*container.iterdir(), *checkpoint.parent.iterdir()]:
        if path not in (checkpoint, checkpoint.parent):
            remove(path)

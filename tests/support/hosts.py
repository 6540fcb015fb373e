"""A host of a cluster (`tests.support.cluster`): a process tree with a data, home and temporary folder of its own and an environment
that inherits nothing, on which parts of the service are started by their own commands, stopped, killed and lost.

Where the test may (as root, on Linux) a host also has a name of its own and doesn't see the folders of the others: mounts and host
name are in namespaces. All listen on loopback.
"""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARK = "SPLATFLOW_TEST_HOST"
READY_SECONDS = 150.0
STOP_SECONDS = 60.0
ONCE_SECONDS = 120.0
ASKABLE = ("prefect", "api", "worker", "housekeeping")
# In namespaces of its own: the host's name, and empty folders where the other hosts are. The process stays the same.
ENTER = 'hostname "$1"; shift; while [ "$1" != -- ]; do mount -t tmpfs -o ro none "$1" || exit 9; shift; done; shift; exec "$@"'


@dataclass
class Host:
    """One host of a cluster.

    Attributes:
        folder: holds all that it may write: `data/`, `home/`, `tmp/`, and `<part>.log` with what each part printed.
        environment: of its parts; may be changed before they start.
        parts: the processes that `start` made, by part.
        hidden: folders that it must not see; None where no namespaces can be had.
    """

    name: str
    folder: Path
    environment: dict[str, str]
    parts: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    hidden: list[Path] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self, part: str, *, wait: bool = True) -> None:
        """Starts a part that goes on; returns when it is ready, as its own health check says."""
        log = self.folder / f"{part}.log"
        with log.open("ab") as output:
            self.parts[part] = subprocess.Popen(
                self.command("part", part),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if wait and part in ASKABLE:
            self.wait_ready(part)

    def wait_ready(self, part: str, seconds: float = READY_SECONDS) -> None:
        """Asks `splatflow part PART --check` until it says yes."""
        deadline = time.monotonic() + seconds
        while self.run("part", part, "--check", check=False).returncode != 0:
            assert self.parts[part].poll() is None, f"{part} on {self.name} ended\n{self.tail(part)}"
            assert time.monotonic() < deadline, f"{part} on {self.name} is not ready\n{self.tail(part)}"
            time.sleep(0.3)

    def run(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """A command of this host that ends, such as `run("part", "migrate")`."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ONCE_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, f"{self.name}: splatflow {' '.join(arguments)}\n{done.stderr}"
        return done

    def command(self, *arguments: str) -> list[str]:
        """`splatflow ARGUMENTS` as a process of this host."""
        own = [sys.executable, "-m", "cli.main", *arguments]
        if self.hidden is None:
            return own
        return ["unshare", "--mount", "--uts", "sh", "-c", ENTER, "sh", self.name, *map(str, self.hidden), "--", *own]

    def stop(self, part: str) -> int:
        """Asks a part to end, as a container engine does; its exit status."""
        process = self.parts.pop(part)
        process.send_signal(signal.SIGTERM)
        return process.wait(STOP_SECONDS)

    def kill(self, part: str) -> None:
        """`kill -9` of a part's own process. Runs that a worker started go on, as they do on a real host."""
        process = self.parts.pop(part)
        process.kill()
        process.wait()

    def lose(self) -> int:
        """`kill -9` of all that runs here, as when the power goes; how many processes there were. The folders stay."""
        killed: set[int] = set()
        while found := self.processes():  # what was just being started shows up in the next round
            for process in found:
                with suppress(psutil.Error):
                    process.kill()
                    killed.add(process.pid)
            time.sleep(0.02)
            for part in self.parts.values():
                part.poll()
        for part in self.parts.values():
            part.wait()
        self.parts.clear()
        return len(killed)

    def wipe(self) -> None:
        """A new, empty host of the same name; nothing may run on it."""
        assert not self.processes()
        shutil.rmtree(self.folder)
        self.make()

    def make(self) -> None:
        """Makes the folders."""
        for name in ("data", "home", "tmp"):
            (self.folder / name).mkdir(parents=True)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Its living processes, those of runs and steps too; with words, those whose command line holds all of them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                ours = process.environ().get(MARK) == self.environment[MARK]
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    line = " ".join(process.cmdline()) if words else ""
                    if all(word in line for word in words):
                        found.append(process)
        return found

    def of_run(self, run_id: str) -> list[psutil.Process]:
        """The processes of a flow run that are here, those of its step too."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error, OSError):
                if process.environ().get("PREFECT__FLOW_RUN_ID") == run_id:
                    found.append(process)
        return found

    def tail(self, part: str, lines: int = 30) -> str:
        """The end of what a part has printed; for a worker its runs' output too."""
        log = self.folder / f"{part}.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    def files(self) -> list[str]:
        """All files in the host's folders."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


def namespaces() -> bool:
    """Whether a process may have a host name and mounts of its own here."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "--uts", "true"], capture_output=True, check=False).returncode == 0

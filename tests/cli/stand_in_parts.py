"""Parts of a group that cost nothing: `splatflow up` with them, and the parts themselves.

python -m tests.cli.stand_in_parts cli ARGS...          the command, whose supervisor runs the stand-ins
python -m tests.cli.stand_in_parts supervise ARGS...    that supervisor
python -m tests.cli.stand_in_parts part NAME [WISH]     a part
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODULE = "tests.cli.stand_in_parts"


class Yes(BaseHTTPRequestHandler):
    """Answers {} to everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def part(name: str) -> None:
    """One part; STAND_IN names what each is to do otherwise, such as `worker:die`."""
    wishes = dict(w.split(":") for w in os.environ.get("STAND_IN", "").split() if ":" in w)
    wish = wishes.get(name)
    print(f"{name} says hello", file=sys.stderr, flush=True)
    if wish == "die":
        print(f"{name} has no mind to work", file=sys.stderr, flush=True)
        sys.exit(3)
    if wish == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if wish == "flow":  # as a worker does: a run in a session of its own, with a child
        environment = {**os.environ, "PREFECT__FLOW_RUN_ID": "1"}
        subprocess.Popen([sys.executable, "-m", MODULE, "flow"], env=environment, start_new_session=True)
    if name in ("api", "prefect"):
        variable = "SPLATFLOW_API_PORT" if name == "api" else "PREFECT_SERVER_API_PORT"
        ThreadingHTTPServer(("127.0.0.1", int(os.environ[variable])), Yes).serve_forever()
    if name == "prepare":
        print('{"key": "sfk_stand_in"}')
        return
    if name == "deploy":
        return
    time.sleep(600)


def flow() -> None:
    """A flow run that notes when it is asked to stop."""
    notes = Path(os.environ["SPLATFLOW_DATA"]) / "notes.txt"

    def stop(*_: object) -> None:
        notes.write_text("asked to stop")
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    notes.write_text("at work")
    with suppress(KeyboardInterrupt):
        time.sleep(600)
    child.kill()


def main() -> None:
    """See above."""
    from dataclasses import replace

    kind, sys.argv = sys.argv[1], sys.argv[1:]
    if kind == "part":
        part(sys.argv[1])
    elif kind == "flow":
        flow()
    elif kind == "supervise":
        from cli.service import running, supervise

        real = supervise.parts
        supervise.parts = lambda addresses, group: [  # type: ignore[assignment]
            replace(
                p,
                module=MODULE,
                arguments=("part", p.name),
                ready=None if p.name == "worker" else p.ready,
                patience_seconds=1.0,
            )
            for p in real(addresses, group)
        ]
        running.BACKOFF_SECONDS = (0.2, 0.4)
        supervise.main()
    else:
        from cli import main as command
        from cli.service import up

        up.supervisor_command = lambda: [sys.executable, "-m", MODULE, "supervise"]
        command.main(sys.argv[1:])


if __name__ == "__main__":
    main()

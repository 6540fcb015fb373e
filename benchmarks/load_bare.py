"""The peer of the load figures: an application with one route that answers a constant, on the settings of our server.

No application on this framework can answer more on this machine: there is no key, no database, no log line and no metric.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.responses import Response

READY = "ready"


def app(body: bytes) -> FastAPI:
    """An application that answers every job's path with `body`."""
    bare = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @bare.get("/api/v1/jobs/{job_id}/")
    async def constant(job_id: str) -> Response:
        return Response(body, media_type="application/json")

    return bare


class _Server(uvicorn.Server):
    """Says on standard output where it listens."""

    async def startup(self, sockets: list | None = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"{READY} {port}", flush=True)


@contextmanager
def running(body: bytes) -> Iterator[str]:
    """The URL of such an application in a process of its own, which ends with the block."""
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load_bare", "--bytes", str(len(body))],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(body)
        process.stdin.flush()
        word, _, port = process.stdout.readline().decode().partition(" ")
        if word != READY:
            raise OSError("the bare application did not start; see above.")
        yield f"http://127.0.0.1:{int(port)}"
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Serves what standard input holds until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load_bare", description="The peer.")
    parser.add_argument("--bytes", type=int, required=True, metavar="N", help="of the answer, read from standard input")
    args = parser.parse_args()
    served = app(sys.stdin.buffer.read(args.bytes))
    # The settings of api.main.
    config = uvicorn.Config(
        served,
        host="127.0.0.1",
        port=0,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
    )
    _Server(config).run()


if __name__ == "__main__":
    main()

"""Tells a Prefect server elsewhere of pools, queues and deployments, and ends: `splatflow part deploy`.

The same as a group does at its start (`cli.service.deploy`), but for workers whose paths this machine doesn't know.
"""

import argparse
import os
import sys
from pathlib import Path

from cli.service.deploy import deploy, of_kubernetes, of_workers
from cli.service.prefect_api import PrefectAnswered
from tasks.errors import SplatflowError

UNUSABLE = 2  # exit status


def main() -> int:
    """Works on the server of PREFECT_API_URL; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubernetes", type=Path)
    args = parser.parse_args()
    try:
        workers = of_workers()
        deploy(
            os.environ["PREFECT_API_URL"],
            workers if args.kubernetes is None else of_kubernetes(args.kubernetes),
            housekeeping=workers,
        )
    except SplatflowError as error:
        print(f"error [{error.slug}]: {error}", file=sys.stderr)
        return UNUSABLE
    except PrefectAnswered as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    except OSError:
        print("error: Prefect did not answer for a minute; look at PREFECT_API_URL and at the server.", file=sys.stderr)
        return UNUSABLE
    print("Prefect knows the pools, queues and deployments.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

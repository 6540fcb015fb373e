#!/bin/bash
# PostgreSQL's own entry, after a look at the passwords: what its first start makes keeps them, so it must not happen with the example's.
set -euo pipefail

for name in POSTGRES_PASSWORD SPLATFLOW_DB_PASSWORD PREFECT_DB_PASSWORD; do
  if [[ ! "${!name}" =~ ^[A-Za-z0-9]{16,}$ ]]; then
    echo "$name is short, the example's, or has more than letters and digits in it; put one of your own into .env: openssl rand -hex 32" >&2
    exit 1
  fi
done
exec docker-entrypoint.sh "$@"

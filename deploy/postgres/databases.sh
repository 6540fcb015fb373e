#!/bin/bash
# Run by PostgreSQL's image at its first start: a role and a database for us, and ones for Prefect.
set -euo pipefail

make() { # role and database of that name, with a password that is passed on standard input only
  psql --quiet --username=postgres --set=ON_ERROR_STOP=1 <<SQL
CREATE ROLE $1 LOGIN PASSWORD '$2';
CREATE DATABASE $1 OWNER $1 ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT ON DATABASE $1 FROM PUBLIC;
SQL
}

for password in "$SPLATFLOW_DB_PASSWORD" "$PREFECT_DB_PASSWORD"; do
  [[ "$password" =~ ^[A-Za-z0-9]+$ ]] || { echo "passwords are letters and digits only: openssl rand -hex 32" >&2; exit 1; }
done
make splatflow "$SPLATFLOW_DB_PASSWORD"
make prefect "$PREFECT_DB_PASSWORD"

#!/bin/bash
# Run by PostgreSQL's image at its first start: a role and a database for us, and ones for Prefect.
set -euo pipefail

make() { # role and database of that name; the password, letters and digits (start.sh), is on standard input only
  psql --quiet --username=postgres --set=ON_ERROR_STOP=1 <<SQL
CREATE ROLE $1 LOGIN PASSWORD '$2';
CREATE DATABASE $1 OWNER $1 ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT ON DATABASE $1 FROM PUBLIC;
SQL
}

make splatflow "$SPLATFLOW_DB_PASSWORD"
make prefect "$PREFECT_DB_PASSWORD"

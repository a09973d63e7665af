#!/bin/sh
# Run by the postgres image when its volume is empty: database, roles and their rights (roles.sql says which).
# Safe to run again, for example to give new passwords:
#   docker compose up -d postgres && docker compose exec postgres sh /docker-entrypoint-initdb.d/10-roles.sh
set -eu
: "${APP_OWNER_PASSWORD:?}" "${APP_RW_PASSWORD:?}" "${APP_OPS_PASSWORD:?}"
exec psql -X -q -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  -f "${SCRM_ROLES_SQL:-/deploy/roles.sql}"

#!/bin/sh
# The one-shot service `migrate`: schema and month partitions, as the owner of the tables.
set -eu
cd "$(dirname "$0")/.."
python manage.py migrate --database owner --noinput
python manage.py partitions

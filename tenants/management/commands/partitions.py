"""Make the month partitions of every partitioned table, ahead of time, as the owner of the tables."""

from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import connections, transaction

from scrm import clock
from tenants.db import policies
from tenants.fields import partition_column


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--past", type=int, default=1, help="months back that get a partition of their own"
        )
        parser.add_argument("--ahead", type=int, default=3, help="months ahead")

    def handle(self, *args: Any, past: int, ahead: int, **options: Any) -> None:
        connection = connections["owner"]
        start = (
            (clock.now().replace(day=1) - timedelta(days=31 * past)).replace(day=1) if past else clock.now()
        )
        made = 0
        for model in apps.get_models():
            if partition_column(model) is None:
                continue
            table = model._meta.db_table
            with transaction.atomic("owner"), connection.cursor() as cursor:
                there = policies.existing_partitions(cursor, table)
                for month in policies.months(start, past + ahead + 1):
                    suffix, bounds = policies.month_bounds(month)
                    if (name := f"{table}_{suffix}") not in there:
                        for statement in policies.partition(table, name, bounds):
                            cursor.execute(statement)
                        made += 1
        if options["verbosity"]:
            self.stdout.write(f"{made} partitions made")

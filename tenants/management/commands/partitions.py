"""Make the month partitions of every partitioned table, as the owner of the tables: the months ahead, chosen months of
the past (`--months 2017-11:2017-12`), and those months of the default partition that have grown large."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
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
        parser.add_argument(
            "--months", default="", help="further months, e.g. 1997-01:1998-06, ahead of an import"
        )
        parser.add_argument(
            "--large",
            type=int,
            default=50_000,
            help="rows of one month in the default partition that move out",
        )

    def handle(
        self, *args: Any, past: int, ahead: int, months: str = "", large: int = 50_000, **options: Any
    ) -> None:
        connection = connections["owner"]
        start = (
            (clock.now().replace(day=1) - timedelta(days=31 * past)).replace(day=1) if past else clock.now()
        )
        wanted = [*policies.months(start, past + ahead + 1), *_chosen(months)]
        made = 0
        for model in apps.get_models():
            if (column := partition_column(model)) is None:
                continue
            table = model._meta.db_table
            with transaction.atomic("owner"), connection.cursor() as cursor:
                there = policies.existing_partitions(cursor, table)
                late = policies.months_of_default(cursor, table, str(column.column))
            crowded = [month for month, n in late.items() if n >= large]
            for month in sorted({*wanted, *crowded}):
                name = f"{table}_{policies.month_bounds(month)[0]}"
                if name not in there:
                    # one month, one transaction: the default partition is locked while its rows move
                    with transaction.atomic("owner"), connection.cursor() as cursor:
                        policies.make_month(cursor, table, str(column.column), month, has_rows=month in late)
                        if fill := getattr(model, "partition_fillfactor", 0):
                            cursor.execute(f"ALTER TABLE {name} SET (fillfactor = {int(fill)})")
                    made += 1
        if options["verbosity"]:
            self.stdout.write(f"{made} partitions made")


def _chosen(text: str) -> list[datetime]:
    """`2017-11` or `2017-11:2018-02` as the first moments of months."""
    if not text:
        return []
    try:
        first, _colon, last = text.partition(":")
        start, end = (datetime.strptime(part, "%Y-%m").replace(tzinfo=UTC) for part in (first, last or first))
    except ValueError as error:
        raise CommandError("--months takes 2017-11 or 2017-11:2018-02") from error
    n = (end.year - start.year) * 12 + end.month - start.month + 1
    if not 1 <= n <= 600:
        raise CommandError("--months: at most 600 months, the first one first")
    return policies.months(start, n)

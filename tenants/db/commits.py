"""How a transaction ends."""

from django.db import connection


def hurry() -> None:
    """The commit of this transaction waits for no disk. If Postgres falls in that moment, what it has written is gone as a
    whole, and what others have committed since is gone as well: it lies behind in the same log."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")

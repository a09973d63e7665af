"""`python -m devtools.database`: migrate and make the month partitions, as app_owner, in one process.

What `manage.py migrate --database owner` and `manage.py partitions` do, with one start of Django.
"""

import os


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", database="owner", interactive=False, verbosity=0)
    call_command("partitions", verbosity=0)


if __name__ == "__main__":
    main()

"""`python -m bench [name …]`: runs the benchmarks in a database of their own; SCALE=full builds the big data once."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

NAMES = [
    "callbacks",
    "arrival",
    "inbox",
    "sop",
    "sync",
    "groups",
    "pages",
    "orders",
    "segments",
    "value",
    "reach",
    "imports",
    "setup",
    "tags",
]
# `tenfold` only when it is asked for: it builds eight further brands, after which all figures are those of ten brands


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")
    full = os.environ.get("SCALE") == "full"
    if full:
        _enough_disk(100 if "tenfold" in sys.argv else 35)
    import django

    django.setup()
    from django.core.management import call_command

    from bench import limits
    from bench.figures import show
    from scrm.celery import calm_collector

    calm_collector()  # what a worker does is measured as in a worker

    # in a process of its own: it takes more memory than what is measured here
    subprocess.run([sys.executable, "manage.py", "migrate", "--database", "owner", "-v0"], check=True)
    call_command("partitions", past=24, verbosity=0)
    missed = 0
    print(f"{os.cpu_count()} cores, SCALE={'full' if full else 'small'}")
    show("limits of this machine", limits.run())
    for name in sys.argv[1:] or NAMES:
        start = time.monotonic()
        figures = import_module(f"bench.{name}").run(full)
        show(f"{name} ({time.monotonic() - start:.0f} s)", figures)
        missed += sum(f.met is False for f in figures)
    print(f"\n{missed} figures missed" if missed else "\nall figures met")


def _enough_disk(needed_gb: int) -> None:
    """What an earlier run has built counts as there."""
    free_gb, built_gb = shutil.disk_usage(".").free / 1e9, 0.0
    for file in Path("var/bench-full").rglob("*"):
        with suppress(OSError):  # the server comes and goes with files
            built_gb += file.lstat().st_blocks * 512 / 1e9
    if free_gb + built_gb < needed_gb:
        sys.exit(f"SCALE=full needs {needed_gb} GB of disk, there are {free_gb + built_gb:.1f}")


if __name__ == "__main__":
    main()

"""How big: SCALE=small (the default), full, or a number of contacts to look at something in between."""

import os


def contacts(full: bool) -> int:
    """Contacts of a built brand, rows of an imported file."""
    named = os.environ.get("SCALE", "")
    if named.isdigit():
        return int(named)
    return 1_000_000 if full else 20_000

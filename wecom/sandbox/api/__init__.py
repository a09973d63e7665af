"""Handlers of /cgi-bin, one file per topic; table.py names them all."""


def table_paths() -> list[str]:
    """Every path that is served; without loading the handlers, for those who have no settings."""
    import re
    from pathlib import Path

    found = re.findall(
        r'^    "([a-zA-Z_/0-9]+)": Api\(', (Path(__file__).parent / "table.py").read_text(), re.M
    )
    calls = ("list", "get", "get_range", "create", "edit", "del")
    return found + [
        f"externalcontact/{kind}_strategy/{name}" for kind in ("customer", "moment") for name in calls
    ]

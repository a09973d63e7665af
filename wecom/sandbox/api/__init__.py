"""Handlers of /cgi-bin, one file per topic; table.py names them all."""


def table_paths() -> list[str]:
    """Every path that is served; without loading the handlers, for those who have no settings."""
    import re
    from pathlib import Path

    return re.findall(
        r'^    "([a-z_/0-9A-Z]+)": Api\(', (Path(__file__).parent / "table.py").read_text(), re.M
    )

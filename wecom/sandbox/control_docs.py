"""The control API described: for programs (/control/openapi.json) and for people (docs/sandbox-control.md).

python -m wecom.sandbox --describe        prints the page
"""

import json
from typing import Any

from . import store
from .control_table import ACTS, READS, Act
from .quirks import QUIRKS, Quirk

SCHEMAS: dict[str, dict[str, Any]] = {
    "": {"type": "string"},
    "int": {"type": "integer"},
    "num": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array", "items": {}},
    "obj": {"type": "object"},
    "any": {},
}


def openapi() -> dict[str, Any]:
    """The whole as OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for name, row in ACTS.items():
        paths[f"/control/{name}"] = {"post": _operation(name, row)}
    for name, row in READS.items():
        paths.setdefault(f"/control/{name}", {})["get"] = _read(name, row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "WeCom sandbox, control API",
            "version": "1",
            "description": 'What a tester may do. A refusal is 4xx {"error": …}.',
        },
        "paths": paths,
    }


ANSWERS = {
    "200": {"description": "done"},
    "400": {"description": "refused"},
    "404": {"description": "no such thing"},
}


def _operation(name: str, row: Act) -> dict[str, Any]:
    if row.takes == "*":
        schema: dict[str, Any] = {"type": "object"}
    else:
        schema = {
            "type": "object",
            "properties": {field.name: SCHEMAS[field.type] for field in row.fields},
            "required": [field.name for field in row.fields if field.required],
            "additionalProperties": False,
        }
    return {
        "operationId": name.replace("/", "_"),
        "tags": [row.group],
        "summary": row.does,
        "requestBody": {"content": {"application/json": {"schema": schema}}},
        "responses": ANSWERS,
    }


def _read(name: str, row: Act) -> dict[str, Any]:
    return {
        "operationId": f"get_{name}",
        "tags": ["Reading"],
        "summary": row.does,
        "parameters": [
            {"name": field.name, "in": "query", "required": field.required, "schema": SCHEMAS[field.type]}
            for field in row.fields
        ],
        "responses": ANSWERS,
    }


def page() -> str:
    """docs/sandbox-control.md."""
    parts = [HEAD]
    groups: dict[str, list[str]] = {}
    for name, row in ACTS.items():
        groups.setdefault(row.group, []).append(_line(name, row))
    for group, lines in groups.items():
        parts.append(
            "\n".join(
                [f"\n## {group}\n", "| POST `/control/…` | Body | What it does |", "|---|---|---|", *lines]
            )
        )
    lines = [_line(name, row) for name, row in READS.items()]
    lines += [
        "| `export` | stable? media? | the whole state as JSON Lines; stable=1 leaves out what differs between two"
        " equal runs |",
        "| `openapi.json` |  | this page for programs |",
    ]
    parts.append(
        "\n".join(
            ["\n## Reading\n", "| GET `/control/…` | Query | What it answers |", "|---|---|---|", *lines]
        )
    )
    parts.append(SETTINGS.format(settings=_settings()))
    parts.append(QUIRKS_HEAD + "\n".join(_quirk(row) for row in QUIRKS.values()))
    return "\n".join(parts) + "\n"


HEAD = """# The sandbox's control API

Made from the code by `python -m wecom.sandbox --describe`; a test holds it up to date. JSON in and out; a refusal
is `4xx {"error": …}`, and a field that no call knows is refused, too. `?` may be left out; types other than strings
stand after the colon. The same for programs: GET `/control/openapi.json`. `POST /control/import` takes the file that
`GET /control/export` gives."""

SETTINGS = """
## Settings

POST `/control/settings` takes any of them, GET answers all.

| Setting | Default | Meaning |
|---|---|---|
{settings}"""

QUIRKS_HEAD = """
## Where the documents differ

`quirks` of the settings: where WeCom's documents contradict each other or what people report. The first choice is
the default. Software that works with every choice works with WeCom, whichever is true today.

| Quirk | Page | What differs | Choices |
|---|---|---|---|
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _line(name: str, row: Act) -> str:
    takes = "any of the settings" if row.takes == "*" else row.takes
    return f"| `{name}` | {takes} | {_cell(row.does)} |"


def _settings() -> str:
    rows = []
    for name, meaning in store.MEANINGS.items():
        default = json.dumps(store.DEFAULTS[name]) if name != "quirks" else "see below"
        rows.append(f"| `{name}` | {default} | {_cell(meaning)} |")
    return "\n".join(rows)


def _quirk(row: Quirk) -> str:
    choices = "; ".join(f"`{value}` {words[1]}" for value, words in row.choices.items())
    return f"| `{row.name}` | {row.page} | {_cell(row.title[1])} | {_cell(choices)} |"

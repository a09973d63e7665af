"""docs/api-first-steps.md: every command works as it is pasted, and the answers are like those shown."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from contacts.models import Identity
from org.access import RIGHTS
from tests.contacts.test_api import client_of
from tests.factories import in_brand, make_contact

TEXT = (settings.BASE_DIR / "docs" / "api-first-steps.md").read_text()
API = "https://example.com/api/v1"


@pytest.mark.django_db(transaction=True)
def test_every_command_works(brand: Any, corp: Any, staff: Any, tmp_path: Path) -> None:
    with in_brand(brand):
        contact = make_contact(brand, staff, name="小美")
        Identity.objects.create(contact=contact, kind="phone", value="13800000001")
    client, known, answer, n = client_of(brand, *RIGHTS), {"API": API, "KEY": "x"}, None, 0
    for kind, block in re.findall(r"```(sh|json)\n(.*?)```", TEXT, re.S):
        if kind == "json":
            assert is_like(answer, json.loads(block)), (block, answer)
            continue
        for line in commands(block):
            if line.startswith("# then "):
                name, _is, way = line.removeprefix("# then ").split()
                known[name] = str(at(answer, way))
            elif line.startswith("curl "):
                found = ask(client, shlex.split(filled(line, known)), tmp_path)
                assert found.status_code in (200, 201, 202), (line, found.status_code, found.text)
                answer, n = found.json(), n + 1
            elif line.startswith("printf "):
                subprocess.run(line, shell=True, check=True, cwd=tmp_path)
    assert n > 25


def commands(block: str) -> Iterator[str]:
    """Each with what belongs to it: a text in quotes goes over several lines."""
    whole = ""
    for line in block.splitlines():
        whole = f"{whole}\n{line}" if whole else line
        if whole.startswith("#") or whole.count("'") % 2 == 0:
            yield whole
            whole = ""


def filled(line: str, known: dict[str, str]) -> str:
    return re.sub(r"\$([A-Z]+)", lambda found: known[found[1]], line)


def ask(client: Client, words: list[str], folder: Path) -> Any:
    """What curl would ask."""
    method, body, form, path, kind = "", "", {}, "", "application/x-www-form-urlencoded"
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-d":
            body = next(rest)
        elif word == "-F":
            name, _is, value = next(rest).partition("=")
            form[name] = (
                SimpleUploadedFile(value[1:], (folder / value[1:]).read_bytes()) if value[0] == "@" else value
            )
        elif word == "-H":
            header, _colon, value = next(rest).partition(": ")
            assert header != "Authorization" or value == "Bearer x"
            kind = value if header == "Content-Type" else kind
        else:
            assert word.startswith(f"{API}/"), word
            path = "/api/v1/" + word.removeprefix(f"{API}/")
    if form:
        return client.post(path, form)
    return client.generic(method or ("POST" if body else "GET"), path, body, content_type=kind)


def at(answer: Any, way: str) -> Any:
    for step in way.split("."):
        answer = answer[int(step) if step.isdigit() else step]
    return answer


def is_like(found: Any, shown: Any) -> bool:
    """What is shown is there; ids and words may be others."""
    if isinstance(shown, dict):
        return isinstance(found, dict) and all(
            name in found
            and (name in ("id", "sop_id", "contact_id", "sample") or is_like(found[name], value))
            for name, value in shown.items()
        )
    if isinstance(shown, list):
        return not shown or (len(found) == len(shown) and all(map(is_like, found, shown)))
    return bool(found) if shown == "…" else bool(found == shown)

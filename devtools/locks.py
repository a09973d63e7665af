"""The lock files are complete and name no registry: any mirror of PyPI and npm can serve them."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from devtools.places import ROOT, fail

NAMES = ("bootstrap", "prod", "build", "demo", "dev")
_REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?\s*==", re.IGNORECASE)


def problems(root: Path = ROOT) -> Iterator[str]:
    """One line per fault."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    versions: dict[str, dict[str, set[str]]] = {}
    for name in NAMES:
        path = root / "requirements" / f"{name}.lock"
        text = path.read_text()
        if "://" in text:
            yield f"{path.name} names an address; make it with make lock"
        versions[name] = _pins(text)
        for package in text.split("\n\n")[0].split("\n"):
            if package.strip().startswith(("-e", "--index", "--extra-index", "--find-links")):
                yield f"{path.name}: {package.strip()}"
        for block in re.split(r"\n(?=\S)", text):
            if _REQUIREMENT.match(block) and "--hash=sha256:" not in block:
                yield f"{path.name}: no hash for {block.split()[0]}"
    for requirement in project["project"]["dependencies"]:
        package = re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()
        for name in ("prod", "build", "demo", "dev"):
            if package not in versions[name]:
                yield f"{name}.lock lacks {package}; run make lock"
    for name in ("prod", "build", "demo"):
        for package, pins in versions[name].items():
            if not pins <= versions["dev"].get(package, set()):
                yield f"{name}.lock and dev.lock differ on {package}; run make lock"
    lock = json.loads((root / "frontend" / "package-lock.json").read_text())
    for package, facts in lock["packages"].items():
        if "resolved" in facts:
            yield f"package-lock.json names an address for {package}; make it with make lock"
        if package and "integrity" not in facts:
            yield f"package-lock.json has no hash for {package}"
    if (
        lock["packages"][""].get("dependencies")
        != json.loads((root / "frontend" / "package.json").read_text())["dependencies"]
    ):
        yield "package-lock.json and package.json differ; run make lock"


def _pins(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := _REQUIREMENT.match(line):
            found.setdefault(match[1].lower(), set()).add(line.split("==")[1].split()[0])
    return found


if __name__ == "__main__":
    if lines := list(problems()):
        print("\n".join(lines))
        fail(f"{len(lines)} faults in the lock files")

"""Locks, and what the Makefile and the documents say about the set-up."""

import json
import re
import shutil
import subprocess
import tomllib

import pytest

from devtools import assets, locks
from devtools.places import ROOT
from scrm import env


def test_locks_are_complete_and_name_no_registry():
    assert list(locks.problems()) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (
            "requirements/prod.lock",
            "# This file",
            "--index-url https://pypi.example/simple\n# This file",
            "names an address",
        ),
        ("requirements/demo.lock", "django==", "django==9", "differ on django"),
        ("requirements/dev.lock", "gunicorn==", "gunicornx==", "dev.lock lacks gunicorn"),
        ("frontend/package.json", '"echarts": "', '"echarts": "^', "package.json differ"),
        (
            "frontend/package-lock.json",
            '"integrity":',
            '"resolved": "https://x", "integrity":',
            "names an address",
        ),
    ],
)
def test_a_damaged_lock_is_seen(tmp_path, name, old, new, said):
    for folder in ("requirements", "frontend"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / name
    path.write_text(path.read_text().replace(old, new, 1))
    assert any(said in line for line in locks.problems(tmp_path))


def test_every_setting_is_in_the_example():
    named = set(re.findall(r"^#? ?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert set(env.TABLE) - {"TEST_PROCESS"} <= named


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(project["project"]["dependencies"])
    for group in project["dependency-groups"].values():
        wanted += [entry for entry in group if isinstance(entry, str)]
    explained = (ROOT / "docs" / "libraries.md").read_text().lower()
    names = {re.split(r"[^A-Za-z0-9._-]", entry)[0].lower() for entry in wanted}
    names |= set(json.loads((ROOT / "frontend" / "package.json").read_text())["dependencies"])
    assert [name for name in sorted(names) if f"| {name} |" not in explained] == []


def test_every_make_target_is_documented():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split())
    assert targets == phony
    described = (ROOT / "docs" / "development.md").read_text()
    assert [name for name in sorted(targets - {"help"}) if f"`make {name}" not in described] == []


def test_make_help_names_every_target():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "make demo" in said and "make check" in said


def test_page_files_are_what_the_lock_says():
    assert assets.STAMP.read_text() == assets._digest(), "run make var/vendor/.stamp"
    for target in json.loads((ROOT / "frontend" / "package.json").read_text())["copy"].values():
        copied = ROOT / "var" / target
        assert copied.stat().st_size > 10_000
        assert list(copied.parent.glob(f"{copied.stem}.LICEN*")), f"{target} without its licence"
        if copied.suffix in {".js", ".css"}:
            assert "sourceMappingURL" not in copied.read_text(encoding="utf-8")[-300:]


def test_no_third_party_files_are_committed():
    """The page files come by lock; what is tracked is ours."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [
        name
        for name in tracked
        if name.startswith(("var/", ".venv/")) or name.endswith((".mo", ".min.js", ".ttf"))
    ] == []

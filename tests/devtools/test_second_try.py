"""A test that fails on CI is tried once more, and what that means: told, limited, and nothing for the strict ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from devtools import second_try
from devtools.places import ROOT

FAILS_ONCE = """
import pathlib
import pytest

@pytest.mark.parametrize("n", range({n}))
def test_it(n, tmp_path_factory):
    seen = pathlib.Path(__file__).with_suffix(f".{{n}}")
    first = not seen.exists()
    seen.touch()
    assert not first or {is_good}, "the wait ran out"
"""


def tried(
    folder: Path, where: str, n: int = 1, *, is_good: bool = False, more: tuple[str, ...] = ()
) -> tuple[int, str]:
    """(exit code, output) of a run with second tries of tests that pass the second time only."""
    file = folder / where / "test_once.py"
    file.parent.mkdir(parents=True)
    file.write_text(FAILS_ONCE.format(n=n, is_good=is_good))
    (folder / "pytest.ini").write_text("[pytest]\n")
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "devtools.second_try",
        "-p",
        "no:django",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*argv, "--reruns", "1", *more, where],
        cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": ""}, text=True, capture_output=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("more", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_it_is_told_with_its_words(tmp_path: Path, more: tuple[str, ...]) -> None:
    code, said = tried(tmp_path, "tests/org", 2, more=more)
    assert code == 0 and "2 passed, 2 rerun" in said.splitlines()[-1], said
    assert "failed once: mend these" in said and said.count("AssertionError: the wait ran out") >= 2
    assert "tests/org/test_once.py::test_it[0] (call)" in said


def test_many_of_them_fail_the_run(tmp_path: Path) -> None:
    code, said = tried(tmp_path, "tests/org", second_try.MOST + 1)
    assert code == pytest.ExitCode.TESTS_FAILED and "4 tests have failed once, at most 3 may" in said, said


@pytest.mark.parametrize("where", [place.rstrip("/") for place in second_try.STRICT])
def test_strict_ones_have_no_second_try(tmp_path: Path, where: str) -> None:
    assert (ROOT / where).is_dir()
    code, said = tried(tmp_path, where)
    assert code == pytest.ExitCode.TESTS_FAILED and "1 failed" in said.splitlines()[-1], said


def test_nothing_is_said_of_a_run_without(tmp_path: Path) -> None:
    code, said = tried(tmp_path, "tests/org", is_good=True)
    assert code == 0 and "failed once" not in said, said

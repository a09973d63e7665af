#!/bin/sh
# Makes .venv and installs one lock file into it:  sh devtools/bootstrap.sh requirements/dev.lock
# Needs python3 >= 3.11 and a package index that pip reaches. Works on a Debian without python3-venv and
# python3-pip, without root, and in a folder whose path has spaces. Installs nothing outside the checkout.
#   PYTHON=/path/to/python3   choose the interpreter
set -eu
cd "$(dirname "$0")/.."
LOCK=${1:-requirements/dev.lock}
UV_PIN=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements/bootstrap.lock)

say() { echo "[set-up] $*"; }
die() { echo "[set-up] $*" >&2; exit 1; }
fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' >/dev/null 2>&1; }

PY=${PYTHON:-}
if [ -n "$PY" ]; then
  fits "$PY" || die "PYTHON=$PY is not a Python 3.11 to 3.14"
else
  for name in python3 python3.13 python3.12 python3.11 python3.14; do
    if fits "$name"; then PY=$name; break; fi
  done
  [ -n "$PY" ] || die "needs Python 3.11 or newer (found none on the PATH); name one with PYTHON=…"
fi

export PIP_ROOT_USER_ACTION=ignore
BEGAN=$(date +%s)
MIN_FREE_MB=${MIN_FREE_MB:-2000}
FREE_MB=$(df -Pk . | awk 'NR == 2 {print int($4 / 1000)}')
[ "$FREE_MB" -ge "$MIN_FREE_MB" ] || die "only $FREE_MB MB of disk are free here, $MIN_FREE_MB are wanted (MIN_FREE_MB sets the limit)"

UVBIN=.venv/bin/uv
# a moved or copied checkout has a .venv whose scripts name the old place: make it anew
if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c 'import sys' 2>/dev/null || [ "$(cat .venv/.place 2>/dev/null)" != "$PWD" ]; then
  rm -rf .venv .boot
  say "environment with $("$PY" --version) in .venv"
  if "$PY" -c 'import ensurepip, venv' 2>/dev/null && "$PY" -m venv .venv >/dev/null 2>&1; then
    :
  else
    rm -rf .venv
    mkdir -p .boot
    if "$PY" -m pip --version >/dev/null 2>&1; then
      "$PY" -m pip install -q --disable-pip-version-check --require-hashes --target .boot/uv -r requirements/bootstrap.lock
    elif command -v apt-get >/dev/null 2>&1; then
      say "python3-venv and pip are missing: unpacking Debian's pip wheel in .boot (nothing is installed system-wide)"
      # apt reads a configuration file, so that a path with spaces needs no quoting on its command line
      mkdir -p .boot/apt/lists/partial .boot/apt/cache/archives/partial
      APT_CONFIG="$PWD/.boot/apt.conf"
      export APT_CONFIG
      printf 'Dir::State::lists "%s";\nDir::Cache "%s";\nAPT::Sandbox::User "";\n' "$PWD/.boot/apt/lists" "$PWD/.boot/apt/cache" > "$APT_CONFIG"
      apt-get -qq update >/dev/null || die "apt-get update failed; install python3-venv, then try again"
      (cd .boot/apt && apt-get -qq download python3-pip-whl >/dev/null && dpkg-deb -x python3-pip-whl_*.deb unpacked)
      mv .boot/apt/unpacked/usr/share/python-wheels/pip-*.whl .boot/
      rm -rf .boot/apt
      "$PY" "$(echo .boot/pip-*.whl)/pip" install -q --disable-pip-version-check --require-hashes --target .boot/uv -r requirements/bootstrap.lock
    else
      die "needs pip or venv (Debian: apt-get install python3-venv)"
    fi
    UVBIN=.boot/uv/bin/uv
    "$UVBIN" venv -q --seed --python "$PY" .venv 2>/dev/null || "$UVBIN" venv -q --python "$PY" .venv
  fi
  printf %s "$PWD" > .venv/.place
fi
[ -x "$UVBIN" ] || [ ! -x .boot/uv/bin/uv ] || UVBIN=.boot/uv/bin/uv
if [ ! -x "$UVBIN" ] || [ "$("$UVBIN" --version 2>/dev/null | cut -d' ' -f2)" != "$UV_PIN" ]; then
  say "uv $UV_PIN"
  # without a wheel of uv for this machine pip does the rest, slower
  .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock || true
  UVBIN=.venv/bin/uv
fi
# uv does not read pip's settings: hand its mirror on
if [ -z "${UV_DEFAULT_INDEX:-}" ]; then
  INDEX=${PIP_INDEX_URL:-$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}
  if [ -n "$INDEX" ]; then UV_DEFAULT_INDEX=$INDEX; export UV_DEFAULT_INDEX; fi
fi
if [ -n "${PIP_CERT:-}" ] && [ -z "${SSL_CERT_FILE:-}" ]; then SSL_CERT_FILE=$PIP_CERT; export SSL_CERT_FILE; fi
UV_PYTHON_DOWNLOADS=never
export UV_PYTHON_DOWNLOADS
say "locked packages of $LOCK (about a minute, longer on a slow line)"
if [ -x "$UVBIN" ]; then
  "$UVBIN" pip install -q --require-hashes -r "$LOCK" -p .venv/bin/python
else
  .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$LOCK"
fi
# pytest loads devtools.pytest_services before it reads `pythonpath`: the checkout is on the path of its own .venv
SITE=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
printf '%s\n' "$PWD" > "$SITE/checkout.pth"
mkdir -p var
echo "environment $(($(date +%s) - BEGAN))" >> var/setup-seconds
say "ready"

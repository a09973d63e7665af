"""Health of one container, for docker-compose.yml; exit code 0 or 1, the reason on stderr.

python deploy/healthcheck.py web PORT          /healthz answers (it asks Postgres and Redis)
python deploy/healthcheck.py worker NAME       the Celery worker NAME@<this host> answers a ping
python deploy/healthcheck.py beat FOLDER       beat has saved its schedule in the last ten minutes
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


def web(port: str) -> str | None:
    """None, or what is wrong. Asks as the proxy does: over https, under the first allowed name."""
    host = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0].strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{int(port)}/healthz", headers={"Host": host, "X-Forwarded-Proto": "https"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=8) as answer:
            return None if answer.status == 200 else f"/healthz answers {answer.status}"
    except (OSError, urllib.error.URLError) as error:
        return f"/healthz: {error}"


def worker(name: str) -> str | None:
    """None, or what is wrong."""
    node = f"{name}@{socket.gethostname()}"
    command = [
        sys.executable,
        "-m",
        "celery",
        "--app=scrm",
        "inspect",
        "ping",
        f"--destination={node}",
        "--timeout=5",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    return None if done.returncode == 0 else f"{node} does not answer: {(done.stderr or done.stdout).strip()}"


def beat(folder: str) -> str | None:
    """None, or what is wrong."""
    saved = [path.stat().st_mtime for path in Path(folder).glob("schedule*")]
    if not saved:
        return f"no schedule in {folder}"
    age_s = time.time() - max(saved)
    return None if age_s < 600 else f"the schedule was saved {age_s:.0f} s ago"


CHECKS = {"web": web, "worker": worker, "beat": beat}


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    sys.exit(CHECKS[sys.argv[1]](sys.argv[2]))

"""Load generator, a process of its own: sends prepared POSTs at a steady rate or as fast as it can.

`python -m bench.load HOST PORT FILE RATE CONNECTIONS`: FILE holds one `path<TAB>body` per line; RATE 0 means as fast as the
connections allow. Prints one JSON line: status counts, latencies in ms measured from the moment each request was due (so that
a slow answer does not hide the ones behind it), wall and processor seconds.
"""

import json
import sys
import threading
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path


def main(host: str, port: int, file: Path, rate: float, connections: int) -> None:
    requests = [line.split("\t", 1) for line in file.read_text().splitlines()]
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    lock = threading.Lock()
    start = time.perf_counter() + 0.1

    def work(k: int) -> None:
        client = HTTPConnection(host, port, timeout=30)
        mine = []
        for i in range(k, len(requests), connections):
            due = start + i / rate if rate else time.perf_counter()
            if (pause := due - time.perf_counter()) > 0:
                time.sleep(pause)
            path, body = requests[i]
            client.request("POST", path, body.encode(), {"Content-Type": "text/xml"})
            answer = client.getresponse()
            answer.read()
            mine.append((answer.status, (time.perf_counter() - due) * 1000))
        with lock:
            statuses.update(status for status, _ in mine)
            latencies.extend(ms for _, ms in mine)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - start
    print(
        json.dumps(
            {"statuses": statuses, "latencies": latencies, "wall_s": wall, "cpu_s": time.process_time()}
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))

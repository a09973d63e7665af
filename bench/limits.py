"""What this machine can do, measured beside the figures: COPY, commits, scans, plain HTTP on loopback, one Python loop."""

import io
import socketserver
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from django.db import connection, connections, transaction

from bench.figures import Figure, timed


def copy_rate(n: int = 200_000) -> float:
    """Rows per second of COPY into a table without index (a temporary one, as the application's role)."""
    text = "".join(f"1\t{i}\t{i % 97}\t2026-01-01 00:00:00+00\n" for i in range(n))

    def act() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "CREATE TEMP TABLE copy_limit (a bigint, b bigint, c int, d timestamptz) ON COMMIT DROP"
            )
            cursor.copy_expert("COPY copy_limit FROM STDIN", io.StringIO(text))

    return n / timed(act, 3)


def commit_rate(seconds: float = 1.0) -> float:
    """Durable transactions per second of one client that writes one row.

    A row, not only a transaction number: a commit that has written nothing is not flushed.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('fsync')")
        cursor.execute("SELECT 1 FROM pg_class WHERE relname = 'bench_one_row'")
        is_there = bool(cursor.fetchone())
    if not is_there:
        with connections["owner"].cursor() as cursor:
            cursor.execute("CREATE TABLE bench_one_row (a bigint, b bigint, at timestamptz)")
            cursor.execute("GRANT INSERT ON bench_one_row TO app_rw")
    n, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("INSERT INTO bench_one_row VALUES (1, %s)", [n])
        n += 1
    return n / seconds


class _Plain(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        return


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def http_rate(seconds: float = 1.0) -> float:
    """POSTs per second of one keep-alive client against the standard library's server."""
    server: socketserver.BaseServer = _Server(("127.0.0.1", 0), _Plain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = HTTPConnection("127.0.0.1", server.server_address[1])
    n, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        client.request("POST", "/", b"x" * 800)
        client.getresponse().read()
        n += 1
    server.shutdown()
    return n / seconds


def run() -> list[Figure]:
    return [
        Figure("COPY into a table without index", copy_rate(), "rows/s"),
        Figure("transactions of one client", commit_rate(), "commits/s"),
        Figure("plain HTTP POST, one client, standard library", http_rate(), "requests/s"),
    ]

"""Benchmarks: every figure beside a limit of the same machine in the same run. `make bench`, `SCALE=full make bench`."""

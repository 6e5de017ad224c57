"""Benchmarks: `python -m benchmarks losses` and `python -m benchmarks metrics`."""

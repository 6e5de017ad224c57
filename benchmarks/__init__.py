"""Benchmarks: `python -m benchmarks` with `losses`, `metrics`, `scaling` or `streaming`."""

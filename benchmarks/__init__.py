"""Benchmarks: `python -m benchmarks` with `losses`, `metrics` or `scaling`."""

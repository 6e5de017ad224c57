"""The command `mllosses`, one file a sub-command; what it says and asks stands here alone.

It knows the whole package, and nothing in the package knows it but `python -m mllosses_jax`.

- `main`: the entry point, with the exit status of every failure.
- `compare`, `show`, `listing`, `describe`, `check`, `evaluate`, `tune`, `calibrate`: the
  sub-commands; each has `add_parser` and `run`, and imports inside `run` what is slow to load.
- `score_metrics`, `score_thresholds`, `score_calibration`: what `evaluate`, `tune` and `calibrate`
  compute of given scores; `score_report`: what they print.
- `profile`: the picture that `describe --plot` draws.
- `argument_types`, `shared_arguments`: options that several sub-commands take.
- `console`, `errors`, `output_files`, `compilation`: what is printed and refused, which files may
  be written, and the cache of compiled programs.
"""

from __future__ import annotations

__all__ = ["main"]

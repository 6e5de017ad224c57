"""The command `mllosses`, with one file per sub-command; no other folder prints anything.

It may import the whole package, and nothing in the package imports it except `__main__`.

- `main`: the entry point, with the exit status of every failure.
- `compare`, `show`, `predict`, `listing`, `describe`, `check`, `evaluate`, `tune`, `calibrate`,
  `doctor`: the sub-commands; each has `add_parser` and `run`, and imports inside `run` what is slow
  to load.
- `score_metrics`, `score_thresholds`, `score_calibration`: what `evaluate`, `tune` and `calibrate`
  compute from given scores; `score_report`: what they print; `score_guarantees`: both, for
  `tune --guarantee`; `score_intervals`: both, for `evaluate --intervals` and `--baseline`.
- `loss_plot`: the picture that `describe --plot` draws.
- `argument_types`, `shared_arguments`: options that several sub-commands take; `config_file`:
  options from a file.
- `console`, `errors`, `output_files`, `compilation`: console output, errors that the user can fix,
  checks of output files, and the cache of compiled programs.
"""

from __future__ import annotations

__all__ = ["main"]

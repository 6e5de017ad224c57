"""Benchmarks: `python -m benchmarks NAME`; each prints a table of ratios to its peers.

- `losses`: value and gradient; `numerics`: their errors; `scaling`: losses over many labels.
- `hierarchy`: losses and helpers for a hierarchy of the size of the Gene Ontology.
- `metrics`: metrics and threshold tuning; `streaming`: accumulators.
- `linear`, `mlp`: the models of `mllosses compare`.
- `intervals`: how often the marks of a comparison are right; call its `run` from Python.
- `linear_float64`, `linear_peers`, `peers_torch`: the peers.
- `timing`: the clock that all benchmarks use.
"""

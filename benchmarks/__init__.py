"""Benchmarks: `python -m benchmarks NAME ...`; each prints a table of ratios to its peers.

- `losses`: value and gradient of every loss; `overhead`: small batches and eager calls.
- `hierarchy`: losses and helpers for a hierarchy of the size of the Gene Ontology.
- `heads`: linear heads over up to 18 million labels; `large_steps`: steps of heads whose weights
  nearly fill a machine; `worked_heads`, `worked_heads_torch`: heads trained to the end beside
  PyTorch.
- `numerics`: errors of values and derivatives; `scaling`: losses over many labels.
- `metrics`: metrics and threshold tuning; `streaming`: accumulators.
- `linear`, `linear_head`, `mlp`, `own_model`: the models of `mllosses compare`, of which the last
  is a user's; `grid`: a grid of the MLP; `whole_command`: all of it.
- `intervals`: how often the intervals and marks of a comparison are right; `families`: its part
  about several losses; `simulated_models`: what both simulate.
- `guarantees`: how often thresholds keep what they promise.
- `straight`: every loss in plain `jax.numpy`; `peers_jax`, `peers_torch`: losses of others.
- `loss_inputs`: what losses are timed on; `goals`: what they are meant to take.
- `linear_float64`, `linear_peers`: the peers of the models; `data_sets`: what models trained in
  steps learn from.
- `timing`: the clock that all benchmarks use; `machine`: where they ran; `alone`: a process of
  its own; `bars`: which bars a run meets.
- `tables`: the tables of docs/speed.md, from the runs that are kept in `results`.
"""

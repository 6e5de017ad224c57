"""Comparisons over very many labels, whose scores are never all kept.

The linear model is a head of `mllosses_jax.heads`. It is trained by steps that update it in place,
and of each row only the labels with the highest scores are kept.

- `linear`: the experiment of one loss; `training`: a fit, with its check of convergence.
- `outcome`: the result of training and its files; `judgment`: its metrics, from ids of labels;
  `thresholds`: its common threshold as a file.
- `notes`: the sentences of a report about such a comparison.
"""

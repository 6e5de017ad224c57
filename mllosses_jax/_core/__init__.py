"""What every loss and metric stands on; private, and stable only for this package.

- `compile`: the decorator that compiles eager calls.
- `types`: the types that losses and metrics share, and what a type checker sees of a loss.
- `checks`: trace-time checks of arguments, with messages that name the argument.
- `masking`: replaces what `where` masks before a formula sees it.
- `numerics`: the accurate primitives and the one value-and-slope mechanism.
- `reduction`: the only place where losses are weighted, summed and averaged.
- `frequencies`: what losses and weights make of how often labels are positive.
- `smoothing`: the conventions of label smoothing.
- `sets`, `ordering`: what metrics and decisions share: checked sets and scores, exact ranking.
- `long_rows`: rankings of many labels.
- `probabilities`: scores that are said to be logits or probabilities.
- `values`: checks of values, in eager calls; `sharding`: arrays on explicit meshes.
- `files`, `schema`: how files of results are written, and what they must hold; `text`: text as a
  terminal can show it; `memory`: how much memory is left.
"""

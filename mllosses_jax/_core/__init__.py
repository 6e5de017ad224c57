"""What every loss and metric stands on; private, and stable only for this package.

- `compile`: the decorators that check and compile eager calls.
- `checks`, `values`: checks of arguments at trace time, and of values in eager calls.
- `types`: the types that losses and metrics share, and what a type checker sees of a loss.
- `public`: what a package shows of itself.
- `masking`: replaces what `where` masks before a formula sees it.
- `numerics`: the accurate primitives and the one value-and-slope mechanism.
- `reduction`: the only place where losses are weighted, summed and averaged.
- `frequencies`: what losses and weights make of how often labels are positive.
- `smoothing`: the conventions of label smoothing.
- `sets`, `probabilities`, `ordering`: what metrics and decisions share: checked sets, scores and
  probabilities, exact ranking.
- `sharding`: arrays on explicit meshes; `memory`: how much memory is left.
- `files`, `schema`: how files of results are written, and what they must hold; `text`: text as a
  terminal can show it, and names that may have been meant.
"""

"""What every loss and metric stands on; private, and stable only for this package.

- `compile`: the decorator that compiles eager calls.
- `checks`: trace-time checks of arguments, with messages that name the argument.
- `masking`: replaces what `where` masks before a formula sees it.
- `numerics`: the accurate primitives and the one value-and-slope mechanism.
- `reduction`: the only place where losses are weighted, summed and averaged.
- `frequencies`: what losses and weights make of how often labels are positive.
- `selection`: the largest entries of a batch, over all devices.
- `smoothing`: the conventions of label smoothing.
- `sets`, `ordering`: what metrics and decisions share: checked sets and scores, exact ranking.
"""

"""The foundation of all losses and metrics; private, with no stability promise to users.

- `compile`: the decorators that check and compile eager calls.
- `checks`, `values`: checks of arguments at trace time, and of values in eager calls.
- `types`: the types that losses and metrics share, and what a type checker sees of a loss.
- `public`: which names a package shows.
- `masking`: replaces what `where` masks before a formula sees it; `widening`: the conversion of
  bfloat16 to float32, whose transpose a platform can choose.
- `numerics`: the accurate primitives and the one value-and-slope mechanism; `softmax`: softmax and
  log-sum-exp, built from them; `polynomials`: those that take the place of functions.
- `reduction`: the only place where losses are weighted, summed and averaged.
- `frequencies`: what losses and weights compute from how often labels are positive.
- `smoothing`: the conventions of label smoothing.
- `sets`, `probabilities`, `ordering`: what metrics and decisions share: checked sets, scores and
  probabilities, exact ranking.
- `row_samples`, `intervals`: metrics on samples of the rows, and the intervals that follow.
- `hierarchy`: hierarchies of labels, and the sweep that carries values upward in them.
- `platforms`: all choices that depend on the platform, with what was measured.
- `sharding`: arrays on explicit meshes; `memory`: how much memory is left.
- `files`, `schema`: how result files are written, and what they must hold; `text`: text that a
  terminal can show, and suggestions for misspelled names; `text_table`: tables that fit it.
"""

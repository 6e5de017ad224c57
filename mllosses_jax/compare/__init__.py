"""The experiment as a library: a comparison of losses on a data set, by the models they train.

`compare` trains a model under each loss and returns a `Comparison`, which gives a `Predictor` for
new rows. It prints nothing; the command `mllosses compare` prints the result.

- `run`: the experiment from end to end; `plan`: what it is to run; `loading`: its data set;
  `settings`: its settings; `experiments`: what is trained and how it is judged; `progress`: how
  far it is; `processes`: several processes that share it.
- `comparison`: the losses that are finished, and what they say together.
- `choice`: the losses; `choosing`: how text and functions become losses; `parameters`: their
  parameters as text; `grids`: losses with several settings; `bound_loss`: a loss with what it takes
  from the data; `heads`: the parameters of losses that are outputs of the model.
- `own_code`: functions of the user's own, and where they failed; `own_code_hash`: whether one has
  changed; `own_loss`: such a loss; `own_metric`: further metrics; `own_model`: such a model;
  `network`: the interface of models trained in steps.
- `predictor`: the model that was found, for new rows; `predictor_file`: its file;
  `preprocessing`: what is done to features.
- `linear`: the linear model, which uses `lbfgs`, `descent` and `products`; `strengths`: the search
  for its penalty; `steps_search`: models trained in steps, which uses `steps_attempts` and
  `steps_training`; `mlp`: the MLP; `parts`: the validation rows; `validation`: what is decided on
  them.
- `large`: the linear model over very many labels, of which a row keeps only the highest scores.
- `outcome`: the result of training; `judgment`: its metrics on the test part, which uses
  `resampling`; `thresholds`: its thresholds as files.
- `references`: models that no loss trains, for the rows below the losses.
- `scored`: the comparison of models that were trained elsewhere, by their scores.
- `folder`: the output folder; `card`: the data card in it; `document`: its results.json.
- `advice`: which losses to try first.
- `checks`: findings about a comparison, with stable codes.
- `report`: the report that the command prints; `notes`, `methods`: its sentences; `markdown`: the
  report as Markdown; `page`: the report as a page; `leaderboard`: the rows of both; `per_label`:
  the figures of each label.
- `errors`: errors that the caller can fix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mllosses_jax._core.text import did_you_mean

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison
    from mllosses_jax.compare.predictor import Predictor
    from mllosses_jax.compare.run import compare
    from mllosses_jax.compare.scored import compare_scores

__all__ = ["Comparison", "Predictor", "compare", "compare_scores"]


def __getattr__(name: str) -> Any:
    """Imports the experiment on first use, so that importing `errors` alone is cheap."""
    if name in __all__:
        from mllosses_jax.compare import comparison, predictor, run, scored

        return {
            "Comparison": comparison.Comparison,
            "Predictor": predictor.Predictor,
            "compare": run.compare,
            "compare_scores": scored.compare_scores,
        }[name]
    hint = "" if name.startswith("_") else did_you_mean(name, __all__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}", name=name)


def __dir__() -> list[str]:
    return __all__

"""The user's own model: a Flax module, or a pair of functions, as a `Network`.

It is one of

- a function (or class) that is called as `(num_features, num_outputs, rngs)` and returns a Flax NNX
  or Linen module or a pair; features of more than two axes have a shape in place of a number, and
  `rngs` may be missing from its parameters;
- a Flax Linen module;
- a pair `(init, apply)` of functions: `params = init(key, features)`, `logits = apply(params,
  features)`.

In a step of training an NNX module is set to `train()`, and otherwise to `eval()`. A Linen module
is told by its parameter `train`, `training`, `is_training`, `deterministic` or
`use_running_average`, if it has one of these. Batch statistics and the state of dropout are carried
from step to step.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mllosses_jax.compare import own_code
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.network import (
    Network,
    Variables,
    arrays_of,
    from_arrays,
    named,
    output_bias,
)
from mllosses_jax.compare.settings import MODELS, ModelName

KINDS = (
    "a function (num_features, num_outputs, rngs) that returns a Flax module, a Flax Linen module, "
    "or a pair (init, apply)"
)
WHILE_TRAINING = {
    "train": True,
    "training": True,
    "is_training": True,
    "deterministic": False,
    "use_running_average": False,
}
ROWS = 3  # of the features with which a model is tried

_Functions: TypeAlias = tuple[Callable[[Array], Variables], Callable[..., tuple[Array, Any]]]


class OwnNetwork(NamedTuple):
    """The user's model for a number of outputs.

    Attributes:
        name: the name of the model.
        num_outputs: the number of outputs, of which the first L are the logits.
        network: what is trained.
        template: the variables of a new model.
    """

    name: str
    num_outputs: int
    network: Network
    template: Variables

    def about(self) -> dict[str, Any]:
        """Returns the arrays of a file from which the model is found again."""
        return {"own_model": np.array(self.name), "num_outputs": np.array(self.num_outputs)}

    def outputs(self, params: Mapping[str, NDArray[Any]], features: NDArray[Any]) -> NDArray[Any]:
        """Returns the outputs (N, K) of a trained model, given by its arrays.

        Raises:
            ComparisonError: the arrays are not those of the model.
        """
        return self.network.outputs(from_arrays(params, self.template), features)


@dataclasses.dataclass(frozen=True)
class OwnModel:
    """A model of the user's.

    Attributes:
        name: `module:name` if it can be imported under this name; otherwise what it is called.
        model: the model, which is one of `KINDS`.
    """

    name: str
    model: Any
    _built: dict[Any, OwnNetwork] = dataclasses.field(default_factory=dict, repr=False)

    def network(self, shape: tuple[int, ...], num_outputs: int) -> OwnNetwork:
        """Returns the model for features of a shape, after it was tried.

        Raises:
            ComparisonError: it fails, or its outputs have another shape.
        """
        if (shape, num_outputs) not in self._built:
            self._built[shape, num_outputs] = self._network(shape, num_outputs)
        return self._built[shape, num_outputs]

    def _network(self, shape: tuple[int, ...], num_outputs: int) -> OwnNetwork:
        features = np.zeros((ROWS, *shape), np.float32)
        with _told(self.name):
            start, apply = _functions(self.model, features, num_outputs, self.name)
            template = start(jax.random.key(0))
        self._check_params(template)
        network = Network(start, apply, bias=None)
        with _told(self.name):
            for train in (False, True):
                self._check_outputs(network, template, features, num_outputs, train)
            bias = output_bias(network, template, features)
        return OwnNetwork(self.name, num_outputs, network._replace(bias=bias), template)

    def _check_params(self, template: Variables) -> None:
        leaves = jax.tree.leaves(template.params)
        kinds = {str(leaf.dtype) for leaf in leaves if not jnp.issubdtype(leaf.dtype, np.floating)}
        if kinds or not leaves:
            found = f"{', '.join(sorted(kinds))} parameters" if kinds else "no parameters"
            raise ComparisonError(
                f"{self.name} has {found}; all that is trained must be floating-point (model)"
            )
        if len(arrays_of(template.params, ())) < len(leaves):
            raise ComparisonError(
                f"{self.name} has two parameters of one name; rename one: "
                f"{', '.join(named(template.params))} (model)"
            )

    def _check_outputs(
        self,
        network: Network,
        template: Variables,
        features: np.ndarray,
        num_outputs: int,
        train: bool,
    ) -> None:
        def total(params: Any, features: Array) -> tuple[Array, Array]:
            outputs, _ = network.apply(params, template.buffers, features, train)
            return jnp.sum(outputs), outputs

        slopes = jax.grad(total, has_aux=True)
        outputs, _ = jax.eval_shape(
            lambda features: network.apply(template.params, template.buffers, features, train),
            features,
        )
        shape = getattr(outputs, "shape", None)
        if shape != (ROWS, num_outputs) or not jnp.issubdtype(outputs.dtype, np.floating):
            what = type(outputs).__name__ if shape is None else f"{outputs.dtype} {shape}"
            raise ComparisonError(
                f"{self.name} returns {what} for {ROWS} rows; it must return logits of shape "
                f"{(ROWS, num_outputs)}, one for each of the outputs that the loss needs (model)"
            )
        jax.eval_shape(slopes, template.params, features)  # a model that cannot be trained fails

    def parameters(self, shape: tuple[int, ...], num_outputs: int) -> list[str]:
        """Returns the names of the parameters with their shapes."""
        template = self.network(shape, num_outputs).template
        return [f"{name} {array.shape}" for name, array in arrays_of(*template).items()]


Model: TypeAlias = str | Callable[..., Any] | Sequence[Callable[..., Any]] | OwnModel


def resolve(model: Model) -> ModelName | OwnModel:
    """Returns "linear", "mlp", or a model of the user's.

    Args:
        model: one of these names; `package.module:name`; or one of `KINDS`.

    Raises:
        ComparisonError: it is none of these.
    """
    if isinstance(model, OwnModel):
        return model
    if isinstance(model, str):
        for name in MODELS:
            if model == name:
                return name
        if ":" not in model:
            raise ComparisonError(
                f"unknown model {model!r} (model); known: {', '.join(MODELS)}; for a model of your "
                "own, write package.module:function"
            )
        return OwnModel(model, own_code.load(model))
    if isinstance(model, tuple | list):
        if len(model) == 2 and all(map(callable, model)):
            return OwnModel(" and ".join(map(_name, model)), model)
    elif callable(model):
        return OwnModel(_name(model), model)
    raise ComparisonError(
        f"the model must be one of {', '.join(MODELS)}; or {KINDS} (model); got "
        f"{type(model).__name__}"
    )


def _name(model: Any) -> str:
    if isinstance(model, functools.partial):
        given = [*map(repr, model.args), *(f"{k}={v!r}" for k, v in model.keywords.items())]
        return f"{_name(model.func)}({', '.join(given)})"
    if dataclasses.is_dataclass(model) and not isinstance(model, type):  # such as a Linen module
        fields = (f.name for f in dataclasses.fields(model) if f.name not in {"parent", "name"})
        given = [f"{name}={getattr(model, name)!r}" for name in fields]
        return f"{type(model).__qualname__}({', '.join(given)})"
    if not hasattr(model, "__qualname__"):
        return type(model).__qualname__
    try:
        return own_code.name_of(model)
    except ComparisonError:  # a lambda
        return str(model.__qualname__)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Tells an error in the user's model with its place."""
    try:
        yield
    except ComparisonError:
        raise
    except Exception as error:
        raise own_code.failed(f"{name} (model)", error) from error


def _functions(model: Any, features: np.ndarray, num_outputs: int, name: str) -> _Functions:
    """Returns what starts a model, and what applies it."""
    if isinstance(model, tuple | list):
        init, apply = model
        return _of_pair(init, apply, features)
    if _is_module(model, "linen"):
        return _of_linen(model, features)
    if _is_module(model, "nnx"):
        raise ComparisonError(
            f"{name} is an NNX module, which is started already; give its class, or a function "
            "(num_features, num_outputs, rngs) that makes a new one (model)"
        )
    make = _factory(model, features.shape[1:], num_outputs)
    made = make(jax.random.key(0))
    if _is_module(made, "nnx"):
        return _of_nnx(make)
    if isinstance(made, tuple | list) or _is_module(made, "linen"):
        return _functions(made, features, num_outputs, name)
    raise ComparisonError(
        f"{name} returns {type(made).__name__}; it must return a Flax NNX or Linen module, or a "
        "pair (init, apply) (model)"
    )


def _factory(
    function: Callable[..., Any], shape: tuple[int, ...], num_outputs: int
) -> Callable[[Array], Any]:
    """Returns the function that makes a model from a random key."""
    from flax import nnx

    size = shape[0] if len(shape) == 1 else shape
    # Classes of Flax have a metaclass, which hides their own parameters.
    is_class = inspect.isclass(function)
    parameters = list(inspect.signature(function.__init__ if is_class else function).parameters)
    if "rngs" in parameters:
        return lambda key: function(size, num_outputs, rngs=nnx.Rngs(key))
    if len(parameters) == 2 + is_class:
        return lambda key: function(size, num_outputs)
    return lambda key: function(size, num_outputs, nnx.Rngs(key))


def _is_module(model: Any, kind: str) -> bool:
    from flax import linen, nnx

    return isinstance(model, linen.Module if kind == "linen" else nnx.Module)


def _of_pair(
    init: Callable[..., Any], apply: Callable[..., Any], features: np.ndarray
) -> _Functions:
    def start(key: Array) -> Variables:
        return Variables(jax.tree.map(jnp.asarray, init(key, jnp.asarray(features))))

    def applied(params: Any, buffers: Any, features: Array, train: bool) -> tuple[Array, Any]:
        return apply(params, features), buffers

    return start, applied


def _of_linen(module: Any, features: np.ndarray) -> _Functions:
    signature = inspect.signature(type(module).__call__).parameters
    flags = {name: value for name, value in WHILE_TRAINING.items() if name in signature}

    def given(train: bool) -> dict[str, bool]:
        return {name: value == train for name, value in flags.items()}

    def start(key: Array) -> Variables:
        of_params, of_dropout = jax.random.split(key)
        rngs = {"params": of_params, "dropout": of_dropout}
        collections = dict(module.init(rngs, jnp.asarray(features), **given(False)))
        params = collections.pop("params", {})
        return Variables(params, {"collections": collections, "key": of_dropout})

    def apply(params: Any, buffers: Any, features: Array, train: bool) -> tuple[Array, Any]:
        variables = {"params": params, **buffers["collections"]}
        if not train:
            return module.apply(variables, features, **given(False)), buffers
        key, now = jax.random.split(buffers["key"])
        outputs, changed = module.apply(
            variables,
            features,
            **given(True),
            mutable=list(buffers["collections"]),
            rngs={"dropout": now},
        )
        return outputs, {"collections": {**buffers["collections"], **changed}, "key": key}

    return start, apply


def _of_nnx(make: Callable[[Array], Any]) -> _Functions:
    from flax import nnx

    def parts(module: Any) -> tuple[Any, Variables]:
        split: Any = nnx.split(module, nnx.Param, ...)
        graph, params, buffers = split
        return graph, Variables(nnx.to_pure_dict(params), nnx.to_pure_dict(buffers))

    graph, _ = parts(make(jax.random.key(0)))

    def apply(params: Any, buffers: Any, features: Array, train: bool) -> tuple[Array, Any]:
        module = nnx.merge(graph, params, buffers)
        if train:
            module.train()
        else:
            module.eval()
        outputs = module(features)
        return outputs, parts(module)[1].buffers

    return lambda key: parts(make(key))[1], apply

"""The formulas of docstrings become LaTeX, and all of them can be parsed."""

import inspect
import re

import pytest
from formulas import latex
from rooms import MODULES

from mllosses_jax.catalogue import CATALOGUE

SECTION = re.compile(r"^Formula:\n((?:    .*\n)+)", re.MULTILINE)

EXPECTED = {
    "ℓ = −Σ_c t_c·log softmax(x)_c": (
        r"\ell = - \sum_c t_c \cdot \log \, \operatorname{softmax}(x)_c"
    ),
    "q = y/Σy": r"q = \frac{y}{\sum y}",
    "−(1 − p_t)^γ₊·p̄²": r"- (1 - p_t)^{\gamma_+} \cdot \bar{p}^2",
    "2·TP / (2·TP + FN + ε)": (
        r"\frac{2 \cdot \mathrm{TP}}{2 \cdot \mathrm{TP} + \mathrm{FN} + \varepsilon}"
    ),
    "1/(|P|·|N|)·Σ_{i∈P} x_i": (
        r"\frac{1}{\left| P \right| \cdot \left| N \right|} \cdot \sum_{i \in P} x_i"
    ),
    "½‖q‖² − margin·ŷ": r"\tfrac{1}{2} \left\| q \right\|^2 - \mathrm{margin} \cdot \hat{y}",
    "KL(P‖Q) + L(x | y)": r"\mathrm{KL}(P \parallel Q) + L(x \mid y)",
    "∂ℓ/∂x = p − q": r"\frac{\partial \ell}{\partial x} = p - q",
    "√(TP·TN)": r"\sqrt{\mathrm{TP} \cdot \mathrm{TN}}",
    "max(y, 1e-7)": r"\max(y , 10^{-7})",
    "Σ_{r≤k} w_r / log₂(r + 1)": r"\sum_{r \leq k} \frac{w_r}{\log_2(r + 1)}",
    "Σᵢ gᵢ / Σᵢ hᵢ": r"\frac{\sum_i g_i}{\sum_i h_i}",
    "max_k Σᵢ≤ₖ pᵢ / (Σᵢ pᵢ + k)": (r"\max_k \, \frac{\sum_{i \leq k} p_i}{\sum_i p_i + k}"),
    "(min_j n_j / n_c)^{1/4}": r"\left( \frac{\min_j \, n_j}{n_c} \right)^{1 / 4}",
    "λ = 0 for the ⌈r·n⌉ labels, else 1": (
        r"\lambda = 0 \text{ for the } \lceil r \cdot n\rceil \text{ labels} , \text{ else } 1"
    ),
    "pᵀ·(D − A)·p": r"p^{\top} \cdot (D - A) \cdot p",
    "#{(j, k) : j∈Y, k∉Y}": r"\#\{(j , k) \;:\; j \in Y , k \notin Y\}",
    "a the parent of b": r"a \text{ the parent of } b",
    "Y ≠ ∅": r"Y \neq \emptyset",
}


@pytest.mark.parametrize("formula", EXPECTED)
def test_formula_as_latex(formula):
    assert latex(formula).split() == EXPECTED[formula].split()


FORMULAS = {
    f"{module}.{name}": match[1]
    for module, found in MODULES.items()
    for name in found.__all__
    if (match := SECTION.search(f"{inspect.getdoc(getattr(found, name))}\n\n"))
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula_of_a_docstring_can_be_read(name):
    for line in inspect.cleandoc(FORMULAS[name]).splitlines():
        text = latex(line)
        assert text
        assert r"\sqrt}" not in text  # a root with nothing under it


def test_every_loss_has_a_formula():
    assert {f"losses.{entry.name}" for entry in CATALOGUE} <= FORMULAS.keys()


def test_unknown_sign_is_named():
    with pytest.raises(ValueError, match="'§'"):
        latex("x § y")

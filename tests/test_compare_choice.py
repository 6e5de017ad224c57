"""How losses and their parameters are written, and what is refused before any training."""

import re

import numpy as np
import pytest

import mllosses_jax as mll
from mllosses_jax.catalogue import CATALOGUE
from mllosses_jax.compare import choice, choosing
from mllosses_jax.compare.choice import Choice
from mllosses_jax.compare.choosing import choose, parse
from mllosses_jax.compare.errors import ComparisonError

READ = {
    "zlpr_loss": "zlpr_loss",
    " hinge_loss ( ) ": "hinge_loss",
    "asymmetric_loss(detach_focus=False, gamma_neg = 2)": (
        "asymmetric_loss(gamma_neg=2, detach_focus=False)"
    ),
    "asymmetric_loss(gamma_neg=2.0,)": "asymmetric_loss(gamma_neg=2.0)",
    "hinge_loss(margin=1e-7)": "hinge_loss(margin=1e-07)",
    "poly1_binary_cross_entropy(epsilon=-1)": "poly1_binary_cross_entropy(epsilon=-1)",
    'soft_f1_loss(average="micro")': "soft_f1_loss(average='micro')",
    "abs_kl_divergence(activation=None)": "abs_kl_divergence(activation=None)",
    "sigmoid_focal_loss(alpha=(.5, 1), gamma=1)": "sigmoid_focal_loss(gamma=1, alpha=[0.5, 1])",
    "hierarchy_penalty(edges=[(0, 1), (0, 2)])": "hierarchy_penalty(edges=[[0, 1], [0, 2]])",
}


def labels(losses):
    return [str(made) for made in choose(losses)]


@pytest.mark.parametrize(("text", "label"), READ.items())
def test_a_label_is_read_again_as_the_same_choice(text, label):
    made = parse(text)
    assert made.label == label
    again = parse(made.label)
    assert again == made
    assert again.parameters == made.parameters
    assert made.entry.name == made.name == label.split("(", 1)[0]


def test_losses_are_separated_by_commas_outside_of_brackets_and_quotes():
    text = "hinge_loss(margin=[1, 2]), ,soft_f1_loss(average='micro'),zlpr_loss,"
    wanted = ["hinge_loss(margin=[1, 2])", "soft_f1_loss(average='micro')", "zlpr_loss"]
    assert labels(text) == wanted
    assert labels(wanted) == wanted
    assert labels([text, parse("zlpr_loss")]) == wanted


def test_each_choice_is_there_once_and_the_plain_baseline_first():
    smooth = f"{choice.BASELINE}(label_smoothing=0.1)"
    assert labels(f"{smooth},zlpr_loss,{choice.BASELINE},{smooth.replace('0.1', ' .1')}") == [
        choice.BASELINE,
        smooth,
        "zlpr_loss",
    ]
    both = ["asymmetric_loss(gamma_neg=2)", "asymmetric_loss(gamma_neg=2.0)"]
    assert labels(both) == both  # two programs: an integer is a compile-time constant
    assert len(set(choose(both))) == 2


def test_default_and_all():
    assert labels(None) == list(choosing.DEFAULT)
    every = labels("all")
    assert every[0] == choice.BASELINE
    assert set(every) == {entry.name for entry in CATALOGUE}
    with pytest.raises(ComparisonError, match="no loss is named"):
        choose(" , ")
    with pytest.raises(ComparisonError, match="no loss is named"):
        choose([])


def test_arguments_are_what_the_loss_takes():
    made = parse("sigmoid_focal_loss(alpha=[0.25, 0.5, 1], gamma=3)")
    assert made.arguments["gamma"] == 3
    assert made.arguments["alpha"].dtype == np.float32
    x, y = np.array([[1.0, -2.0, 0.5]], np.float32), np.array([[1, 0, 1]])
    direct = mll.sigmoid_focal_loss(x, y, gamma=3, alpha=np.array([0.25, 0.5, 1], np.float32))
    assert float(made.entry.loss(x, y, **made.arguments)) == float(direct)
    assert parse("hierarchy_penalty(edges=[[0, 1]])").arguments["edges"].dtype == np.int32
    assert parse("hierarchical_coherence_loss(ancestors=[[True]])").arguments["ancestors"].all()


def test_file_names_are_plain_short_and_different():
    texts = [
        *READ,
        "asymmetric_loss(gamma_neg=2)",
        "asymmetric_loss(gamma_neg=-0.0)",
        "sigmoid_focal_loss(alpha=[0.25, 0.5])",
        "sigmoid_focal_loss(alpha=[0.25, 0.75])",
        "robust_asymmetric_loss(gamma_neg=1.123456789, gamma_pos=1.123456789, clip=0.123456789, "
        "lamb=1.123456789, epsilon_pos=1.123456789, epsilon_neg=1.123456789)",
    ]
    made = [parse(text) for text in texts]
    # Some of these would be the same file on a case-insensitive file system.
    odd = ["None", "none", True, "true", "../up", "a" * 300]
    made += [Choice("abs_kl_divergence", (("activation", value),)) for value in odd]
    names = [each.file_name for each in made]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-zA-Z0-9_.=+-]{1,119}", name)
        assert not name.endswith(".")
    assert parse("zlpr_loss").file_name == "zlpr_loss"
    label = "asymmetric_loss(gamma_neg=2, detach_focus=False)"
    assert parse(label).file_name == "asymmetric_loss-gamma_neg=2-detach_focus=False"


MISTAKES = {
    "zlpr": ["no loss is called 'zlpr'", "did you mean zlpr_loss"],
    "zlpr-loss": ["'zlpr-loss'", "did you mean zlpr_loss"],
    "zlpr_loss)": ["'zlpr_loss)'", "did you mean zlpr_loss"],
    "asymetric_loss(gamma_neg=2)": ["'asymetric_loss'", "asymmetric_loss"],
    "asymmetric_loss(gama_neg=2)": [
        "asymmetric_loss has no parameter 'gama_neg'",
        "it has gamma_neg, gamma_pos, clip, detach_focus",
        "did you mean gamma_neg",
    ],
    "zlpr_loss(gamma=2)": ["zlpr_loss has no parameter 'gamma'", "it has none"],
    "hinge_loss(logits=2)": ["hinge_loss has no parameter 'logits'", "it has margin"],
    "hinge_loss(reduction='sum')": ["hinge_loss: reduction cannot be set", "same for all losses"],
    "hinge_loss(weights=[1, 2])": ["hinge_loss: weights cannot be set"],
    "factorized_count_loss(count_logits=2)": ["count_logits cannot be set", "output of the model"],
    "hinge_loss(2)": ["hinge_loss takes its parameters by name", "2 has no name"],
    "hinge_loss(**{'margin': 2})": ["hinge_loss takes its parameters by name"],
    "hinge_loss(margin=2, margin=3)": ["hinge_loss: margin is given twice"],
    "hinge_loss(margin=2,zlpr_loss": ["hinge_loss(margin=2,zlpr_loss cannot be read", "LOSS("],
    "hinge_loss(margin=2))": ["hinge_loss(margin=2)) cannot be read"],
    "hinge_loss(margin=[2)": ["cannot be read"],
    "hinge_loss(margin='2)": ["cannot be read"],
    "hinge_loss(margin=\0)": ["cannot be read"],
    "hinge_loss(margin=1)(2)": ["is not a loss with parameters", "LOSS("],
    "hinge_loss(margin=1) + 1": ["no loss is called '1'"],
    "hinge_loss(margin=x)": ["hinge_loss: margin is x", "a number"],
    "hinge_loss(margin=2 * 3)": ["hinge_loss: margin is 2 * 3", "a number"],
    "hinge_loss(margin=1j)": ["hinge_loss: margin is 1j"],
    "hinge_loss(margin={1, 2})": ["hinge_loss: margin is {1, 2}"],
    "hinge_loss(margin=['a'])": ["hinge_loss: margin is ['a']", "list of numbers"],
    "hinge_loss(margin=[[1], [2, 3]])": ["hinge_loss: margin is", "list of numbers"],
    "hinge_loss(margin=1e999)": ["hinge_loss: margin is", "too large"],
    "hinge_loss(margin=3000000000)": ["hinge_loss: margin is 3000000000", "too large"],
    "hinge_loss(margin='2')": ["hinge_loss: margin must be a number, got '2'"],
    "hinge_loss(margin=True)": ["hinge_loss: margin must be a number, got True"],
    "hinge_loss(margin=None)": ["hinge_loss: margin must be a number, got None"],
    "hinge_loss(margin=-1)": ["hinge_loss(margin=-1): margin must lie in [0, inf], got -1"],
    "asymmetric_loss(detach_focus=0)": ["detach_focus must be True or False, got 0"],
    "soft_f1_loss(average=micro)": ["average is micro", "text in quotes"],
    "soft_f1_loss(average=2)": ["average must be text in quotes, got 2"],
    "soft_f1_loss(average='mikro')": ["average must be one of 'macro'", "got 'mikro'"],
    "sigmoid_focal_loss(gamma=-1, alpha=[0.1, 0.2])": ["gamma must lie in [0, inf]"],
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.items())
def test_mistakes_are_named(text, words):
    with pytest.raises(ComparisonError) as caught:
        choose(f"zlpr_loss,{text}")
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_nothing_is_evaluated(tmp_path):
    path = tmp_path / "made"
    for value in (f"open({str(path)!r}, 'w')", f"[open({str(path)!r}, 'w')]"):
        with pytest.raises(ComparisonError, match="margin is"):
            parse(f"hinge_loss(margin={value})")
    assert not path.exists()

"""Each recipe runs as a user runs it, and all reach the same mean average precision."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mllosses_jax as mll

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("with_*.py"))
# The mean over five seeds of each recipe, and four standard deviations of one run. A loss without
# the mask falls outside: it takes half of the positives for negatives and reaches 0.60.
EXPECTED, TOLERANCE = 0.635, 0.025
# All recipes call the same functions of ours; one is compiled with the optimisation of a user.
AS_FOR_USERS = "with_plain_jax"


def test_every_framework_has_a_recipe():
    frameworks = ["equinox", "haiku", "keras", "linen", "nnx", "plain_jax"]
    assert [path.stem for path in RECIPES] == [f"with_{name}" for name in frameworks]


# Tests with a `case` are grouped by its name, so that the recipes run in parallel.
@pytest.mark.parametrize("case", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_short_and_reaches_the_common_score(case):
    environment = dict(os.environ)
    if case.stem == AS_FOR_USERS:
        environment.pop("XLA_FLAGS", None)
    code = [line for line in case.read_text().splitlines() if line.strip()]
    assert len(code) <= 40
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"recipes.{case.stem}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    score = float(re.fullmatch(r"test mAP (0\.\d+)\n", done.stdout)[1])
    assert score == pytest.approx(EXPECTED, abs=TOLERANCE)
    # The average precision of uninformative scores is the share of positives.
    uninformed = mll.data.load("mosaics").y_test.mean()
    assert score > 3 * uninformed

"""The training protocol against a hand-written loop, scikit-learn and brute force."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn import metrics as sk

import mllosses_jax as mll
from mllosses_jax import catalogue
from mllosses_jax.catalogue import CATALOGUE, find
from mllosses_jax.cli.console import table
from mllosses_jax.compare import choice
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.experiment import Outcome, Settings, prepare, run
from mllosses_jax.compare.folder import Folder
from mllosses_jax.compare.models import MODELS
from mllosses_jax.compare.objective import Objective, bind, from_labels
from mllosses_jax.compare.report import best_report, footnotes, verdict
from mllosses_jax.data import Dataset, split

ROWS, FEATURES, LABELS = 60, 6, 3


@pytest.fixture(scope="module", autouse=True)
def optax_promotion():
    """Adam in optax mixes its int32 count with float32, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def make_dataset(masked=False, rows=ROWS, labels=LABELS):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2 * rows, FEATURES))
    y = x @ generator.normal(size=(FEATURES, labels)) + generator.normal(size=(2 * rows, 1)) > 0.5
    mask = generator.random(y.shape) < 0.8
    return Dataset(
        name="toy",
        label_names=tuple(f"label {j}" for j in range(labels)),
        x_train=x[:rows],
        y_train=y[:rows],
        mask_train=mask[:rows] if masked else None,
        x_test=x[rows:],
        y_test=y[rows:],
        mask_test=mask[rows:] if masked else None,
    )


def hand_trained(model, loss, data, *, rows, weight_decay, key, settings):
    """The parameters after AdamW on the given rows, one plain step after another."""
    schedule = optax.cosine_decay_schedule(model.learning_rate, settings.num_steps)
    optimizer = optax.adamw(
        schedule,
        eps=1e-15,
        weight_decay=weight_decay,
        mask=lambda params: {name: "kernel" in name for name in params},
    )
    params = model.init(key, FEATURES, LABELS)
    opt_state = optimizer.init(params)

    @jax.jit
    def update(params, opt_state, index):
        batch = jax.tree.map(lambda value: value[index], data)
        where = {"where": batch["where"]} if "where" in batch else {}
        gradient = jax.grad(
            lambda p: loss(model.apply(p, batch["inputs"]), batch["labels"], **where)
        )(params)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    for index in rows:
        params, opt_state = update(params, opt_state, index)
    return params


@pytest.mark.parametrize(("model_name", "masked"), [("linear", True), ("mlp", False)])
def test_run_follows_the_protocol(model_name, masked):
    dataset = make_dataset(masked)
    settings = Settings(
        model=model_name, num_seeds=2, num_steps=25, batch_size=16, weight_decays=(3.0, 0.1)
    )
    experiment = prepare(dataset, settings)
    passes = []
    loss = mll.sigmoid_binary_cross_entropy
    outcome = run(experiment, Objective(loss, LABELS), lambda: passes.append(1))
    assert len(passes) == settings.passes == 3

    model = MODELS[model_name]
    keys = jax.random.split(jax.random.key(0), 2)
    y, x = dataset.y_train, jnp.asarray(dataset.x_train)
    known = np.ones_like(y) if dataset.mask_train is None else dataset.mask_train
    parts = [split(y, 0.2, seed=seed, mask=dataset.mask_train)[1] for seed in range(2)]

    def trained(rows, weight_decay, seed):
        return hand_trained(
            model,
            loss,
            experiment.train,
            rows=rows[seed],
            weight_decay=weight_decay,
            key=keys[seed],
            settings=settings,
        )

    means, scores = [], {}
    for weight_decay in settings.weight_decays:
        of_seeds = []
        for seed, part in enumerate(parts):
            params = trained(experiment.tuning_rows, weight_decay, seed)
            scores[weight_decay, seed] = z = np.asarray(model.apply(params, x[part]))
            by_label = [
                sk.average_precision_score(y[part][k, j], z[k, j])
                for j, k in enumerate(known[part].T)
                if y[part][k, j].any()
            ]
            by_row = [
                sk.average_precision_score(truth[k], row[k])
                for truth, row, k in zip(y[part], z, known[part], strict=True)
                if truth[k].any()
            ]
            of_seeds.append((np.mean(by_label) + np.mean(by_row)) / 2)
        means.append(np.mean(of_seeds))
    np.testing.assert_allclose(outcome.validation_score, means, atol=1e-4)
    chosen = settings.weight_decays[int(np.argmax(means))]
    assert outcome.weight_decay == chosen

    for seed, part in enumerate(parts):
        params = trained(experiment.final_rows, chosen, seed)
        expected = model.apply(params, jnp.asarray(dataset.x_test))
        np.testing.assert_allclose(outcome.test_scores[seed], expected, rtol=2e-3, atol=2e-3)

        truth, z, k = y[part], scores[chosen, seed], known[part]

        def micro_f1(threshold, truth=truth, z=z, k=k):
            return sk.f1_score(truth[k], z[k] >= threshold, zero_division=0)

        best = max(micro_f1(threshold) for threshold in z[k])
        assert micro_f1(outcome.global_thresholds[seed]) == pytest.approx(best)


def test_tuning_never_sees_the_validation_part_and_the_final_model_sees_all():
    dataset = make_dataset()
    settings = Settings(num_seeds=3, num_steps=20, batch_size=16)
    experiment = prepare(dataset, settings)
    assert experiment.tuning_rows.shape == experiment.final_rows.shape == (3, 20, 16)
    for seed in range(3):
        real = np.asarray(experiment.validation_where[seed].any(1))
        validation = set(np.asarray(experiment.validation_rows[seed])[real].tolist())
        tuning = set(np.asarray(experiment.tuning_rows[seed]).ravel().tolist())
        assert len(validation) == ROWS // 5
        assert tuning == set(range(ROWS)) - validation
        final = np.asarray(experiment.final_rows[seed]).ravel()
        assert set(final.tolist()) == set(range(ROWS))
        assert len(set(final[:ROWS].tolist())) == ROWS  # a whole epoch before any row repeats
    assert len({tuple(np.asarray(rows)) for rows in experiment.validation_rows}) == 3


def test_a_loss_is_compiled_once():
    traces = []

    def loss(logits, labels):
        traces.append(1)
        return mll.sigmoid_binary_cross_entropy(logits, labels)

    experiment = prepare(make_dataset(), Settings(num_seeds=2, num_steps=5))
    run(experiment, Objective(loss, LABELS), lambda: None)
    assert len(traces) == 1


def test_too_few_rows_are_named():
    with pytest.raises(ComparisonError, match="toy has 6 training rows; at least 10"):
        prepare(make_dataset(rows=6), Settings())


def test_choice_of_losses():
    assert choice.choose(None) == choice.DEFAULT
    assert choice.choose("zlpr_loss, sigmoid_binary_cross_entropy,zlpr_loss") == (
        "sigmoid_binary_cross_entropy",
        "zlpr_loss",
    )
    every = choice.choose("all")
    assert every[0] == choice.BASELINE
    assert set(choice.DEFAULT) <= set(every)
    assert set(every) == {entry.name for entry in CATALOGUE}
    with pytest.raises(ComparisonError, match=r"did you mean .*zlpr_loss"):
        choice.choose("zlpr")
    with pytest.raises(ComparisonError, match="no loss is named"):
        choice.choose(" , ")


@pytest.mark.parametrize("name", choice.choose("all"))
def test_every_loss_is_a_scalar_of_logits_labels_and_mask(name):
    dataset = make_dataset(masked=True)
    objective = bind(name, dataset)
    outputs = jax.ShapeDtypeStruct((ROWS, objective.num_outputs), jnp.float32)
    value = jax.eval_shape(
        lambda z: objective.loss(
            z, jnp.asarray(dataset.y_train), where=jnp.asarray(dataset.mask_train)
        ),
        outputs,
    )
    assert value.shape == ()


def test_alpha_is_the_share_of_negatives():
    dataset = make_dataset(masked=True)
    alpha = from_labels(find("balanced_binary_cross_entropy"), dataset)["alpha"]
    for label in range(LABELS):
        known = dataset.mask_train[:, label]
        assert alpha[label] == pytest.approx(1 - dataset.y_train[known, label].mean())


def test_outcome_survives_a_file(tmp_path):
    generator = np.random.default_rng(0)
    outcome = Outcome(*(generator.random(size=(2, 3)) for _ in dataclasses.fields(Outcome)))
    outcome.save(tmp_path / "a.npz")
    again = Outcome.load(tmp_path / "a.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
    for field in dataclasses.fields(Outcome):
        np.testing.assert_array_equal(getattr(outcome, field.name), getattr(again, field.name))


def test_data_card():
    dataset = Dataset(
        name="toy",
        label_names=tuple("abc"),
        x_train=np.zeros((4, 2)),
        y_train=[[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]],
        mask_train=[[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 1]],
    )
    card = data_card(dataset)
    assert card["cardinality"] == 1.0  # 4 positives on 4 rows
    assert card["density"] == 0.4  # 4 of 10 known entries
    assert card["mean_imbalance_ratio"] == 2.0  # of 3/3 and 3/1
    assert card["labels_with_fewer_than_10_positives"] == 3
    assert card["labels_without_a_positive"] == 1
    assert card["rows_without_a_label"] == 1
    assert card["unknown_entries"] == 2
    assert card["test_rows"] == 0


def test_fingerprint_tells_data_apart():
    one, other = make_dataset(), make_dataset(masked=True)
    assert fingerprint(one) == fingerprint(make_dataset())
    assert fingerprint(one) != fingerprint(other)


def identity(**config):
    return {"config": {"losses": ["a", "b"], **config}, "data": {"sha256": "0"}}


def test_folder_resumes_only_its_own_run(tmp_path):
    folder = Folder(tmp_path / "out", identity(model="linear"), force=False)
    folder.write({**identity(model="linear"), "results": {"a": {}}}, [])
    assert Folder(tmp_path / "out", identity(model="linear"), force=False).load("a") is None
    with pytest.raises(
        ComparisonError, match=r"another run \(config: model is linear there and mlp"
    ):
        Folder(tmp_path / "out", identity(model="mlp"), force=False)
    folder.write({**identity(model="linear"), "results": {"a": {}, "b": {}}}, [])
    with pytest.raises(ComparisonError, match="exists and is complete"):
        Folder(tmp_path / "out", identity(model="linear"), force=False)
    Folder(tmp_path / "out", identity(model="mlp"), force=True)
    assert json.loads((tmp_path / "out/results.json").read_text())["config"]["model"] == "mlp"


def test_force_forgets_old_scores(tmp_path):
    outcome = Outcome(*(np.zeros(1) for _ in dataclasses.fields(Outcome)))
    Folder(tmp_path, identity(), force=False).save("a", outcome)
    assert Folder(tmp_path, identity(), force=False).load("a") is not None
    assert Folder(tmp_path, identity(), force=True).load("a") is None


@pytest.mark.parametrize("text", ["no json", "[]", '{"results": {}}'])
def test_folder_leaves_a_foreign_file_alone(tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ComparisonError, match="not the result of a comparison"):
        Folder(tmp_path, identity(), force=False)
    assert (tmp_path / "results.json").read_text() == text


def test_folder_does_not_take_over_results_without_their_configuration(tmp_path):
    (tmp_path / "results.csv").write_text("mine")
    with pytest.raises(ComparisonError, match=r"holds results but no results\.json"):
        Folder(tmp_path, identity(), force=False)


def test_damaged_files_are_named(tmp_path):
    folder = Folder(tmp_path, identity(), force=False)
    (tmp_path / "scores" / "zlpr_loss.npz").write_bytes(b"PK123")
    with pytest.raises(ComparisonError, match=r"zlpr_loss\.npz is damaged; remove it"):
        folder.load("zlpr_loss")
    (tmp_path / "results.json").write_text('{"results": {}, "config": [1], "data": {}}')
    with pytest.raises(ComparisonError, match="is not the result of a comparison"):
        Folder(tmp_path, identity(), force=False)


def test_undefined_map_is_no_divergence():
    results = {"zlpr_loss": figures(0.5)}
    results["zlpr_loss"]["map"] = figures(float("nan"))["map"]
    parameters = {"settings": Settings(), "num_resamples": 7, "given": {}}
    notes = " ".join(footnotes(results, {}, baseline="zlpr_loss", **parameters))
    assert "mAP is undefined" in notes
    assert "diverged" not in notes
    assert "no loss is best" in verdict("zlpr_loss", float("nan"), "zlpr_loss", {})


def test_a_label_called_like_an_average():
    dataset = dataclasses.replace(make_dataset(), label_names=("a", "micro avg", "b"))
    outcome = Outcome(
        test_scores=np.zeros((1, ROWS, LABELS), np.float32),
        label_thresholds=np.zeros((1, LABELS), np.float32),
        global_thresholds=np.zeros(1, np.float32),
        weight_decay=np.zeros(()),
        validation_score=np.zeros(1),
        seconds=np.zeros(()),
    )
    assert "micro avg (label)" in best_report(outcome, dataset)


def test_json_has_no_nan(tmp_path):
    folder = Folder(tmp_path, identity(), force=False)
    folder.write({"results": {"a": [float("nan"), (1.0, float("inf"))]}}, [])
    assert json.loads((tmp_path / "results.json").read_text()) == {
        "results": {"a": [None, [1.0, None]]}
    }


def figures(value):
    names = ("map", "macro_f1_at_half", "macro_f1_tuned", "micro_f1_tuned")
    names += ("ranking_loss", "precision_at_1", "seconds")
    return {name: {"mean": value, "low": value, "high": value, "values": [value]} for name in names}


def test_table_fits_80_columns_and_marks_the_better(capsys):
    from rich.console import Console

    from mllosses_jax.compare.judgement import HIGHER_IS_BETTER, Difference

    names = choice.choose("all")
    results = {name: figures(1.0 if index % 2 else 0.1234) for index, name in enumerate(names)}
    up = dict.fromkeys(HIGHER_IS_BETTER, Difference(0.1, 0.05, 0.15))
    apart = dict.fromkeys(names[1:], up)
    Console(width=80, no_color=True).print(table(results, apart))
    printed = capsys.readouterr().out
    assert all(len(line) <= 80 for line in printed.splitlines())
    assert "…" not in printed
    text = "".join(printed.split())
    assert all(name.split("_")[0] in text for name in names)
    [row] = [line for line in printed.splitlines() if line.startswith("lsep_loss*")]
    assert row.count(" +") == 4  # higher is better, except for ranking loss; 0.5 says nothing
    assert row.count(" -") == 1

    given = {"zlpr_loss": "a head for nothing"}
    parameters = {"baseline": names[0], "settings": Settings(), "num_resamples": 7, "given": given}
    notes = footnotes(results, apart, **parameters)
    unordered = sum(not catalogue.find(name).zero_decides for name in names[1:])
    total = 6 * (len(names) - 1) - unordered
    assert f"{total} of {total} comparisons" in " ".join(notes)
    assert "7 resamples" in notes[0]
    assert any("zlpr_loss: a head for nothing" in note for note in notes)


def test_report_of_many_labels_shows_the_frequent_ones():
    dataset = make_dataset(labels=25)
    outcome = Outcome(
        test_scores=np.zeros((1, ROWS, 25), np.float32),
        label_thresholds=np.zeros((1, 25), np.float32),
        global_thresholds=np.zeros(1, np.float32),
        weight_decay=np.zeros(()),
        validation_score=np.zeros(1),
        seconds=np.zeros(()),
    )
    shown = best_report(outcome, dataset)
    whole = best_report(outcome, dataset, max_labels=None)
    assert "5 labels with fewer test positives are left out" in shown
    shown_labels = {line[:8].strip() for line in shown.splitlines() if "label " in line[:9]}
    assert len([line for line in whole.splitlines() if "label " in line[:14]]) == 25
    assert len(shown_labels) <= 20 + 1
    assert shown.splitlines()[-4:] == whole.splitlines()[-4:]
    rarest = dataset.label_names[int(dataset.y_test.sum(0).argmin())]
    assert f"{rarest} " not in shown

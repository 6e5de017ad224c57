"""Calibrator files: none is overwritten by accident, and mistakes are named."""

import jax.numpy as jnp
import numpy as np
import pytest

from mllosses_jax import calibration


def test_files_are_not_written_over(tmp_path):
    file, names = tmp_path / "c.json", ["Äpfel", "ночь"]
    first, second = (
        calibration.AffineCalibrator(jnp.full(2, slope), jnp.zeros(2)) for slope in (2.0, 3.0)
    )
    calibration.save(first, file, names)
    assert names[1] in file.read_text(encoding="utf-8")
    with pytest.raises(FileExistsError, match="exists; choose another file, or force=True"):
        calibration.save(second, file, names)
    np.testing.assert_array_equal(calibration.load(file, names).slope, first.slope)
    calibration.save(second, file, names, force=True)
    np.testing.assert_array_equal(calibration.load(file, names).slope, second.slope)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("shared", ["slope", "bias"])
def test_parameters_are_kept_by_label_where_one_is_shared(shared):
    values = {"slope": jnp.array([1.0, 2.0, 3.0]), "bias": jnp.array([4.0, 5.0, 6.0])}
    calibrator = calibration.AffineCalibrator(**{**values, shared: jnp.array(0.5)})
    data = calibration.to_dict(calibrator, ["a", "b", "c"])
    found = calibration.from_dict(data, ["c", "a", "b"])
    x = jnp.array([[0.5, -1.0, 2.0]])
    np.testing.assert_array_equal(found(x[:, jnp.array([2, 0, 1])])[0], calibrator(x)[0, [2, 0, 1]])


def test_bad_files_are_named(tmp_path):
    calibrator = calibration.AffineCalibrator(jnp.ones(2), jnp.zeros(2))
    with pytest.raises(ValueError, match="label_names must name each of the 2 labels, got 1"):
        calibration.to_dict(calibrator, ["a"])
    with pytest.raises(ValueError, match=r"label_names must differ.*\['a'\]"):
        calibration.to_dict(calibrator, ["a", "a"])
    for names in ("ab", [0, 1]):
        with pytest.raises(TypeError, match="label_names must be a sequence of strings"):
            calibration.to_dict(calibrator, names)
    broken = calibration.AffineCalibrator(jnp.ones(2), jnp.array([0, jnp.nan]))
    with pytest.raises(ValueError, match="calibrator must hold finite numbers"):
        calibration.to_dict(broken, ["a", "b"])
    data = calibration.to_dict(calibrator, ["a", "b"])
    with pytest.raises(ValueError, match="1 of 2 are missing, the first is 'c'"):
        calibration.from_dict(data, ["a", "c"])
    with pytest.raises(ValueError, match="one of affine, beta, isotonic; got 'Platt'"):
        calibration.from_dict({**data, "calibrator": "Platt"}, ["a"])
    with pytest.raises(ValueError, match=r"one of affine.*got list"):
        calibration.from_dict([1], ["a"])
    for row in ({"slope": 1.0}, {"slope": 1.0, "bias": "x"}, 3):
        with pytest.raises(
            ValueError,
            match=r"labels\['a'\](\.bias)? must be|labels\['a'\] must hold slope, bias, got slope",
        ):
            calibration.from_dict({"calibrator": "affine", "labels": {"a": row}}, ["a"])
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(ValueError, match=r"c\.json must be a JSON file"):
        calibration.load(tmp_path / "c.json", ["a"])
    (tmp_path / "c.json").write_text('{"format": "mllosses_jax thresholds 1"}')
    with pytest.raises(ValueError, match=r"calibrator 1.*got 'mllosses_jax thresholds 1'"):
        calibration.load(tmp_path / "c.json", ["a"])

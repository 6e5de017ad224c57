"""Trains in Keras 3 on JAX: `compile` takes the loss and a metric, and -1 is an unknown label."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from keras import layers

import mllosses_jax as mll
from mllosses_jax.metrics.streaming import ScoreHistogram


class MeanAveragePrecision(keras.metrics.Metric):
    def __init__(self, num_labels, name="mean_ap"):
        super().__init__(name=name)
        shape = ScoreHistogram.init(num_labels, inputs="logits").cells.shape
        self.cells = self.add_variable(shape, initializer="zeros", dtype="int32")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y, known = mll.labels.from_minus_one_unknown(y_true)
        histogram = ScoreHistogram(self.cells.value, "logits").update(y_pred, y, where=known)
        self.cells.assign(histogram.cells)

    def result(self):
        return ScoreHistogram(self.cells.value, "logits").average_precision().estimate


def main(seed: int = 0) -> float:
    data, rng = mll.data.load("mosaics").standardized(), np.random.default_rng(seed)
    known = rng.random(data.y_train.shape) < 0.5  # half of the labels are unknown
    weights = mll.weighting.effective_number_weights((data.y_train & known).sum(axis=0))

    def loss_fn(y_true, y_pred):
        y, known = mll.labels.from_minus_one_unknown(y_true)
        return mll.asymmetric_loss(y_pred, y, weights=weights, where=known)

    keras.utils.set_random_seed(seed)
    first, last = (layers.Dense(n, kernel_initializer="lecun_normal") for n in (128, 10))
    norm, dropout = layers.BatchNormalization(momentum=0.9), layers.Dropout(0.2)
    model = keras.Sequential([first, norm, layers.ReLU(), dropout, last])
    model.compile(keras.optimizers.Adam(3e-3), loss_fn, metrics=[MeanAveragePrecision(10)])
    y = np.where(known, data.y_train, -1)
    model.fit(data.x_train, y, batch_size=100, epochs=10, verbose=0)
    results = model.evaluate(data.x_test, data.y_test.astype(int), verbose=0, return_dict=True)
    return results["mean_ap"]


if __name__ == "__main__":
    print(f"test mAP {main():.3f}")

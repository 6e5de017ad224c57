"""Each loss once more, in float64 numpy, straight from its formula; never imports the package.

An oracle takes logits (B, L), labels (B, L) and a bool mask (B, L) and returns the unreduced
loss. Entries, samples and labels that do not count are 0.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _masked(values, mask):
    return np.where(mask, values, 0.0)


def _bce(x, y):
    return y * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)


def sigmoid_binary_cross_entropy(x, y, mask, pos_weight=1.0, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + label_smoothing / 2
    return _masked(pos_weight * y * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x), mask)


def binary_cross_entropy(p, y, mask):
    with np.errstate(divide="ignore"):
        log_p, log_q = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
    return _masked(-y * log_p - (1 - y) * log_q, mask)


def balanced_binary_cross_entropy(x, y, mask, alpha):
    return _masked(
        alpha * y * np.logaddexp(0, -x) + (1 - alpha) * (1 - y) * np.logaddexp(0, x), mask
    )


def multilabel_soft_margin_loss(x, y, mask, label_weights=1.0):
    terms = _masked(np.broadcast_to(label_weights, x.shape) * _bce(x, y), mask)
    return terms.sum(-1) / np.maximum(mask.sum(-1), 1)


def sigmoid_focal_loss(x, y, mask, gamma=2.0, alpha=None):
    p = sigmoid(x)
    wrong = y * (1 - p) + (1 - y) * p
    scale = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return _masked(scale * wrong**gamma * _bce(x, y), mask)


def asymmetric_loss(x, y, mask, gamma_neg=4.0, gamma_pos=1.0, clip=0.05, detach_focus=True):
    weight, entropy = _asymmetric_parts(x, y, gamma_neg, gamma_pos, clip)
    return _masked(weight * entropy, mask)


def _asymmetric_parts(x, y, gamma_neg, gamma_pos, clip):
    p = sigmoid(x)
    p_m = np.maximum(p - clip, 0)
    right = y * p + (1 - y) * (1 - p_m)
    weight = (1 - right) ** (gamma_pos * y + gamma_neg * (1 - y))
    return weight, -y * np.log(p) - (1 - y) * np.log1p(-p_m)


def asymmetric_loss_slope(x, y, mask, detach_focus=True, gamma_neg=4.0, gamma_pos=1.0, clip=0.05):
    """Slope by central differences; of the entropy alone where the weight is held constant."""
    h = 1e-6
    if not detach_focus:
        above = asymmetric_loss(x + h, y, mask, gamma_neg, gamma_pos, clip)
        below = asymmetric_loss(x - h, y, mask, gamma_neg, gamma_pos, clip)
        return (above - below) / (2 * h)
    weight, _ = _asymmetric_parts(x, y, gamma_neg, gamma_pos, clip)
    _, above = _asymmetric_parts(x + h, y, gamma_neg, gamma_pos, clip)
    _, below = _asymmetric_parts(x - h, y, gamma_neg, gamma_pos, clip)
    return _masked(weight * (above - below) / (2 * h), mask)


def _log_softmax(x, mask):
    x = np.where(mask, x, -np.inf)
    top = x.max(-1, keepdims=True, initial=-1e300)
    with np.errstate(divide="ignore", invalid="ignore"):
        return x - top - np.log(np.exp(x - top).sum(-1, keepdims=True))


def _sum_product(y, log_s, mask):
    return np.where(mask & (y != 0), y * np.where(mask, log_s, 0), 0).sum(-1)


def softmax_cross_entropy(x, y, mask, normalize=True):
    y = _masked(y, mask)
    if normalize:
        y = y / np.where(y.sum(-1) == 0, 1, y.sum(-1))[:, None]
    return -_sum_product(y, _log_softmax(x, mask), mask)


def smoothed_softmax_cross_entropy(x, y, mask, label_smoothing=0.1, convention="others"):
    losses = np.zeros(len(x))
    for row in range(len(x)):
        keep = mask[row]
        t = y[row, keep]
        if t.sum() == 0:
            continue
        t = t / t.sum()
        if convention == "uniform":
            target = (1 - label_smoothing) * t + label_smoothing / keep.sum()
        elif (t > 0).all():
            target = t
        else:
            others = (t == 0).sum()
            target = np.where(t > 0, (1 - label_smoothing) * t, label_smoothing / others)
        log_s = x[row, keep] - np.logaddexp.reduce(x[row, keep])
        losses[row] = -(target * log_s).sum()
    return losses


def softmax_focal_loss(x, y, mask, gamma=2.0, alpha=1.0):
    log_s = _log_softmax(x, mask)
    weight = (1 - np.exp(log_s)) ** gamma
    return -_sum_product(alpha * _masked(y, mask) * weight, log_s, mask)


def _pairs(x, y, mask):
    """Yields for each row the logits of its positives and of its negatives."""
    for row in range(len(x)):
        yield x[row, mask[row] & (y[row] > 0)], x[row, mask[row] & (y[row] == 0)]


def lsep_loss(x, y, mask):
    return np.array(
        [np.log1p(np.exp(n[None, :] - p[:, None]).sum()) for p, n in _pairs(x, y, mask)]
    )


def zlpr_loss(x, y, mask):
    positive, negative = _masked(y, mask), _masked(1 - y, mask)
    x = _masked(x, mask)
    return np.log1p((positive * np.exp(-x)).sum(-1)) + np.log1p((negative * np.exp(x)).sum(-1))


def two_way_sample_loss(x, y, mask, positive_temperature=4.0, negative_temperature=1.0):
    t_p, t_n = positive_temperature, negative_temperature
    return np.array(
        [
            np.log1p(np.exp(n / t_n).sum() ** t_n * np.exp(-p / t_p).sum() ** t_p)
            if len(p) and len(n)
            else 0.0
            for p, n in _pairs(x, y, mask)
        ]
    )


def two_way_label_loss(x, y, mask, **temperatures):
    return two_way_sample_loss(x.T, y.T, mask.T, **temperatures)


def two_way_loss(x, y, mask, **temperatures):
    total = 0.0
    for losses, positives in (
        (two_way_sample_loss(x, y, mask, **temperatures), (mask & (y > 0)).any(1)),
        (two_way_label_loss(x, y, mask, **temperatures), (mask & (y > 0)).any(0)),
    ):
        total += losses[positives].mean() if positives.any() else 0.0
    return total


def soft_fbeta_loss(x, y, mask, beta=1.0, average="macro", activation="sigmoid", epsilon=1e-7):
    p = sigmoid(x) if activation == "sigmoid" else np.exp(_log_softmax(x, mask))
    p, y, q = _masked(p, mask), _masked(y, mask), _masked(1 - p, mask)
    axis = {"macro": 0, "samples": 1, "micro": None}[average]
    tp, fp, fn = (p * y).sum(axis), (p * _masked(1 - y, mask)).sum(axis), (q * y).sum(axis)
    losses = 1 - (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp + epsilon)
    return np.where(mask.any(axis), losses, 0.0)


def soft_f1_loss(x, y, mask, **parameters):
    return soft_fbeta_loss(x, y, mask, beta=1.0, **parameters)


def one_hot(ids, num_labels):
    return (np.asarray(ids)[..., None] == np.arange(num_labels)).astype(float)


def log_counts(entries):
    """Returns how many samples and how many labels of a mask count."""
    return entries.any(-1).sum(), entries.any(0).sum()

"""Every row of docs/migration.md: the peer's call and ours give equal values and gradients.

Rows whose peer is not installed are skipped. The formulas of torchvision, timm, the ASL repository,
segmentation_models_pytorch, SigLIP, GLiNER, MONAI and LibAUC, written in PyTorch, stand in for
them.
"""

import importlib
import os
import re
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when keras is imported

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mllosses_jax as mll

PAGE = Path(__file__).parent.parent / "docs" / "migration.md"
ROW = re.compile(r"^\| `(.+?)` \| `(.+?)` \|(?: (.+?) \|)?$", re.MULTILINE)
B, L = 12, 5
FIRST = re.compile(r"\bmll\.\w+\((\w)\b")


def rows():
    """Yields each row's heading, the peer's call, ours, and the domain on which they agree."""
    for section in PAGE.read_text().split("\n## ")[1:]:
        heading = section.split("\n", 1)[0]
        for peer, ours, domain in ROW.findall(section):
            yield pytest.param(heading, peer, ours, domain, id=peer)


def inputs(domain: str) -> dict[str, np.ndarray]:
    """Returns an array for each name on the page; a third of the logits are near the bound."""
    rng = np.random.default_rng(5)
    y = (rng.random((B, L)) < 0.4).astype(np.float32)
    y[:, 0], y[0] = np.arange(B) % 2, [0, 0, 0, 1, 0]
    y[y.sum(1) == 0, 1] = 1  # every sample and label has positives and negatives
    y[y.sum(1) == L, 1] = 0
    assert 0 < y.mean(0).min() < y.mean(0).max() < 1
    x = 3 * rng.standard_normal((B, L)) + 2 * y
    if bound := re.fullmatch(r"x within (\d+)", domain):
        far = rng.random((B, L)) < 1 / 3
        x = np.where(far, np.sign(x) * int(bound[1]) * rng.uniform(0.8, 1, (B, L)), x)
        x = np.clip(x, -int(bound[1]), int(bound[1]))
    else:
        assert domain in ("", "p in (0, 1)"), domain
    scores = rng.permutation(B * L).reshape(B, L) / (B * L) - 0.5 + y / 3.1
    order = np.argsort(1 - y, axis=1, kind="stable")
    names = {
        "x": x,
        "y": y,
        "p": rng.uniform(0.01, 0.99, (B, L)),
        "w": rng.uniform(0.5, 2, (B, L)),
        "v": rng.uniform(0.5, 2, L),
        "r": rng.uniform(0.5, 2, B),
        "s": scores,
        "d": rng.random((B, L)) < 0.3 + 0.4 * y,
        "c": rng.integers(0, L, B),
        "i": np.where(np.take_along_axis(y, order, 1) > 0, order, -1),
    }
    kinds = {"f": np.float32, "i": np.int32, "b": bool}
    return {name: np.asarray(a, kinds[a.dtype.kind]) for name, a in names.items()}


def evaluate(code: str, names: dict, **namespaces) -> object:
    return eval(code, {"L": L, "jax": jax, "jnp": jnp, "np": np, **names, **namespaces})


def value_and_gradient(code: str, names: dict, first: str, **namespaces):
    """Returns the value of the code, and the gradient of its sum by JAX."""
    arrays = jax.tree.map(jnp.asarray, names)

    def run(argument):
        result = evaluate(code, arrays | {first: argument}, **namespaces)
        return jnp.sum(result), result

    (_, value), gradient = jax.value_and_grad(run, has_aux=True)(arrays[first])
    return np.asarray(value), np.asarray(gradient)


def torch_value_and_gradient(code: str, names: dict, first: str):
    torch = pytest.importorskip("torch")
    # Use float64: where 1 - sigmoid(x) cancels, float32 would show the formula's own rounding.
    tensors = {
        name: torch.from_numpy(a.astype(np.float64) if a.dtype == np.float32 else np.array(a))
        for name, a in names.items()
    }
    tensors["c"], tensors["i"] = tensors["c"].long(), tensors["i"].long()
    tensors[first].requires_grad_()
    value = evaluate(code, tensors, **stand_ins(torch), torch=torch, F=torch.nn.functional)
    value.sum().backward()
    return value.detach().numpy(), tensors[first].grad.numpy()


def plain_value(heading: str, code: str, names: dict) -> np.ndarray:
    """Returns the value of a peer's metric or decision."""
    if re.search(r"\b(torch|tm)\.", code):
        torch = pytest.importorskip("torch")
        tm = None
        if "tm." in code:
            tm = pytest.importorskip("torchmetrics.functional.classification")
        tensors = {name: torch.from_numpy(np.array(a)) for name, a in names.items()}
        tensors["y"] = tensors["y"].long()
        return np.asarray(evaluate(code, tensors, torch=torch, tm=tm))
    if re.match(r"(keras|rax)\.", code):
        name = code.split(".", maxsplit=1)[0]
        return np.asarray(evaluate(code, names, **{name: pytest.importorskip(name)}))
    pytest.importorskip("sklearn")
    needed = {
        "sklearn": importlib.import_module("sklearn"),
        "IsotonicRegression": importlib.import_module("sklearn.isotonic").IsotonicRegression,
    }
    importlib.import_module("sklearn.metrics")
    return np.asarray(evaluate(code, names | {"y": names["y"].astype(int)}, **needed))


@pytest.fixture(autouse=True)
def default_promotion():
    """The peers, unlike the package, rely on promotion."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("heading", "peer", "ours", "domain"), list(rows()))
def test_row(heading, peer, ours, domain):
    names = inputs(domain)
    if not domain:
        expected = plain_value(heading, peer, names)
        arrays = jax.tree.map(jnp.asarray, names)
        np.testing.assert_allclose(evaluate(ours, arrays, mll=mll), expected, 2e-5, 2e-5)
        return
    first = FIRST.search(ours)[1]
    if heading.startswith(("PyTorch", "torchvision", "SigLIP", "LibAUC")):
        expected = torch_value_and_gradient(peer, names, first)
    else:
        name = peer.split(".")[0]
        module = pytest.importorskip(name)
        expected = value_and_gradient(peer, names, first, **{name: module})
    found = value_and_gradient(ours, names, first, mll=mll)
    for got, truth in zip(found, expected, strict=True):
        assert np.shape(got) == np.shape(truth)
        np.testing.assert_allclose(got, truth, rtol=1e-4, atol=1e-6 * max(1, np.abs(truth).max()))


def test_partial_auc_losses_of_libauc():
    """Those of one label, with the numbers that it keeps as they are after a step of size 1."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(30, 1)), np.arange(30)[:, None] < 10  # 20 negatives
    temperature, share = 0.7, 0.25

    def of_pairs(weights_of):
        x = torch.tensor(logits, requires_grad=True)
        pairs = torch.relu(1 - x[labels][:, None] + x[~labels][None, :]) ** 2
        value = (weights_of(pairs.detach()) * pairs).mean()
        value.backward()
        return pairs.detach(), value.item(), x.grad.numpy()

    def robust(pairs):
        terms = torch.exp(pairs / temperature)
        return terms / terms.mean(1, keepdim=True)

    def highest(pairs):
        threshold = pairs.sort(1).values[:, [14]]  # the lowest 15 of 20 are not above it
        return (pairs > threshold) / share

    with jax.enable_x64(True):
        for weights_of, loss, options in (
            (robust, mll.partial_auc_loss, {"temperature": temperature}),
            (highest, mll.pairwise_auc_loss, {"max_fpr": share}),
        ):
            pairs, value, gradient = of_pairs(weights_of)
            found, slope = jax.value_and_grad(
                lambda x, loss=loss, options=options: loss(
                    x, labels, surrogate="squared_hinge", **options
                )
            )(jnp.asarray(logits))
            np.testing.assert_allclose(slope, gradient, rtol=1e-9, atol=1e-12)
            if weights_of is robust:
                weights = robust(pairs)
                value -= temperature * (weights * torch.log(weights)).mean().item()
            np.testing.assert_allclose(found, value, rtol=1e-12)


def test_no_row_is_left_out():
    table = [line for line in PAGE.read_text().split("\n## ", 1)[1].splitlines() if "| `" in line]
    assert len(table) == len(list(rows())) > 100


def test_rows_of_the_readme_are_rows_of_the_page():
    section = (PAGE.parent.parent / "README.md").read_text().split("## Coming from", 1)[1]
    short = [row[:2] for row in ROW.findall(section.split("\n## ", 1)[0])]
    assert short
    assert set(short) <= {row.values[1:3] for row in rows()}


# The formulas of libraries that are not among the test requirements, in PyTorch


def stand_ins(torch) -> dict[str, object]:
    functional = torch.nn.functional

    def reduced(losses, reduction):
        how = {
            "none": lambda: losses,
            "mean": losses.mean,
            "sum": losses.sum,
            "batchmean": lambda: losses.sum() / len(losses),
        }
        return how[reduction]()

    def focal(x, y, alpha=0.25, gamma=2, reduction="none"):
        p = torch.sigmoid(x)
        miss = y * (1 - p) + (1 - y) * p
        share = 1 if alpha < 0 else torch.where(y > 0, alpha, 1 - alpha)
        entropy = functional.binary_cross_entropy_with_logits(x, y, reduction="none")
        return reduced(share * miss**gamma * entropy, reduction)

    def asymmetric(default_reduction):
        def build(
            gamma_neg=4,
            gamma_pos=1,
            clip=0.05,
            disable_torch_grad_focal_loss=False,
            reduction=default_reduction,
        ):
            def loss(x, y):
                p = torch.sigmoid(x)
                q = torch.clamp(1 - p + clip, max=1)
                right = torch.where(y > 0, p, q)
                weight = (1 - right) ** torch.where(y > 0, gamma_pos, gamma_neg)
                weight = weight.detach() if disable_torch_grad_focal_loss else weight
                return reduced(-weight * torch.log(right.clamp(min=1e-8)), reduction)

            return loss

        return build

    def asymmetric_single(gamma_pos=0, gamma_neg=4, eps=0.1):
        def loss(x, c):
            log_s = torch.log_softmax(x, -1)
            y = functional.one_hot(c, L).to(x.dtype)
            weight = torch.where(y > 0, (1 - log_s.exp()) ** gamma_pos, log_s.exp() ** gamma_neg)
            return -((y * (1 - eps) + eps / L) * weight * log_s).sum(-1).mean()

        return loss

    def timm_binary(smoothing=0.1):
        def loss(x, y):
            if y.ndim == 1:
                y = functional.one_hot(y, L) * (1 - smoothing) + smoothing / L
            return functional.binary_cross_entropy_with_logits(x, y.to(x.dtype))

        return loss

    def overlap(numerator_and_denominator):
        def loss(x, y):
            p = torch.sigmoid(x)
            sums = [a.sum((0, 2)) for a in (p * y, p * (1 - y), (1 - p) * y)]
            above, below = numerator_and_denominator(*sums)
            return ((1 - above / below.clamp_min(1e-7)) * (y.sum((0, 2)) > 0)).mean()

        return loss

    def dice(mode, smooth=0.0):
        assert mode == "multilabel"
        return overlap(lambda tp, fp, fn: (2 * tp + smooth, 2 * tp + fp + fn + smooth))

    def tversky(mode, smooth=0.0, alpha=0.5, beta=0.5):
        assert mode == "multilabel"
        return overlap(lambda tp, fp, fn: (tp + smooth, tp + alpha * fp + beta * fn + smooth))

    def lovasz(mode, per_image):
        assert mode == "binary"
        assert per_image

        def of_sample(x, y):
            """Sums the steps of the Jaccard loss over growing sets of errors, times the error."""
            errors, order = torch.sort(1 - x * (2 * y - 1), descending=True)
            worst = y[order]
            still_hit = y.sum() - worst.cumsum(0)
            jaccard = 1 - still_hit / (y.sum() + (1 - worst).cumsum(0))
            return functional.relu(errors) @ torch.diff(jaccard, prepend=errors.new_zeros(1))

        return lambda x, y: torch.stack([of_sample(*row) for row in zip(x, y, strict=True)]).mean()

    def correlation():
        def loss(p, y):
            tp, tn, fp, fn = (
                (a * b).sum() + 1e-5 for a, b in ((p, y), (1 - p, 1 - y), (p, 1 - y), (1 - p, y))
            )
            product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
            return 1 - (tp * tn - fp * fn) / product.sqrt()

        return loss

    def siglip():
        return lambda x, y: -functional.logsigmoid((2 * y - 1) * x).sum() / len(x)

    def gliner_focal(x, y, alpha=0.25, gamma=2, reduction="none"):
        known = y != -100
        p = torch.sigmoid(x)
        of_label = torch.where(y > 0, p, 1 - p)
        share = 1 if alpha < 0 else torch.where(y > 0, alpha, 1 - alpha)
        losses = share * (1 - of_label) ** gamma * -torch.log(of_label.clamp(min=1e-6)) * known
        return losses.sum() / known.sum() if reduction == "mean" else reduced(losses, reduction)

    def monai_focal(gamma=2.0, alpha=-1, reduction="mean"):
        return lambda x, y: focal(x, y, alpha, gamma, reduction)

    def monai_dice(sigmoid, batch, jaccard=False):
        assert sigmoid
        assert batch

        def loss(x, y):
            p = torch.sigmoid(x)
            both, size = (p * y).sum((0, 2)), (p + y).sum((0, 2))
            below = 2 * (size - both) if jaccard else size
            return (1 - (2 * both + 1e-5) / (below + 1e-5)).mean()

        return loss

    def pairwise_auc(surr_loss="logistic", hparam=1.0):
        surrogate = {
            "logistic": lambda t: functional.softplus(-hparam * t),
            "squared": lambda t: (hparam - t) ** 2,
            "squared_hinge": lambda t: functional.relu(hparam - t) ** 2,
        }[surr_loss]
        return lambda x, y: surrogate(x[y > 0][:, None] - x[y == 0][None, :]).mean()

    return {
        "libauc": SimpleNamespace(PairwiseAUCLoss=pairwise_auc),
        "open_clip": SimpleNamespace(SigLipLoss=siglip),
        "gliner": SimpleNamespace(focal_loss_with_logits=gliner_focal),
        "monai": SimpleNamespace(FocalLoss=monai_focal, DiceLoss=monai_dice),
        "torchvision": SimpleNamespace(ops=SimpleNamespace(sigmoid_focal_loss=focal)),
        "timm": SimpleNamespace(
            loss=SimpleNamespace(
                AsymmetricLossMultiLabel=asymmetric("batchmean"), BinaryCrossEntropy=timm_binary
            )
        ),
        "asl": SimpleNamespace(
            AsymmetricLoss=asymmetric("sum"),
            AsymmetricLossOptimized=asymmetric("sum"),
            ASLSingleLabel=asymmetric_single,
        ),
        "smp": SimpleNamespace(
            losses=SimpleNamespace(
                DiceLoss=dice, TverskyLoss=tversky, LovaszLoss=lovasz, MCCLoss=correlation
            )
        ),
    }

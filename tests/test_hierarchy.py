"""Hierarchies from parent edges, against plain loops over labels, edges and paths."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit

import mllosses_jax as mll
from mllosses_jax import decisions, labels

NUM_LABELS, NUM_SAMPLES = 60, 7
DIAMOND = np.array([[0, 1], [0, 2], [1, 3], [2, 3], [0, 1]])


@functools.cache
def random_edges():
    """Returns a chain, labels with several parents and labels with none, in random numbering."""
    rng = np.random.default_rng(0)
    edges = [(a, a + 1) for a in range(19)]
    edges += [(rng.integers(0, b), b) for b in range(20, 55) for _ in range(rng.integers(1, 4))]
    return rng.permutation(NUM_LABELS)[np.array(edges)]


@functools.cache
def descendants():
    """Returns for each label the sorted list of itself and what is reached from it."""
    children = [set() for _ in range(NUM_LABELS)]
    for parent, child in random_edges():
        children[parent].add(child)

    def reached(label):
        return {label}.union(*(reached(child) for child in children[label]))

    return [sorted(reached(label)) for label in range(NUM_LABELS)]


def inputs(*, obedient, masked):
    """Returns logits with many ties, labels and a mask."""
    rng = np.random.default_rng(1)
    x = rng.integers(-3, 4, (NUM_SAMPLES, NUM_LABELS)).astype(np.float32)
    x[1] = 0
    y = rng.random(x.shape) < 0.1
    if obedient:
        y = np.stack([y[:, below].any(1) for below in descendants()], axis=1)
    x[2, ::2] = np.where(y[2, ::2], x[2, ::2], -np.inf)
    return x, y, rng.random(x.shape) < 0.7 if masked else np.ones(x.shape, bool)


def explained_by(x, y, where):
    """Returns the label that explains each label: the first one of those with the largest logit."""
    index = np.tile(np.arange(NUM_LABELS), (NUM_SAMPLES, 1))
    for row, a in zip(*np.nonzero(where), strict=True):
        below = [b for b in descendants()[a] if where[row, b] and (y[row, b] or not y[row, a])]
        if max(x[row, below]) > -np.inf:
            index[row, a] = max(below, key=lambda b: (x[row, b], -b))
    return index


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("obedient", [True, False])
@pytest.mark.parametrize("form", ["edges", "matrix"])
def test_coherence_loss(form, obedient, masked):
    x, y, where = inputs(obedient=obedient, masked=masked)
    weights = np.linspace(1, 2, NUM_LABELS).astype(np.float32)
    direction = np.random.default_rng(2).standard_normal(x.shape).astype(np.float32)
    if form == "edges":
        ancestors = labels.hierarchy(random_edges(), NUM_LABELS)
    else:
        ancestors = np.zeros((NUM_LABELS, NUM_LABELS), bool)
        for label, below in enumerate(descendants()):
            ancestors[label, below] = True

    def total(x, ancestors):
        return mll.hierarchical_coherence_loss(
            x, y, ancestors=ancestors, weights=weights, where=where, reduction="sum"
        )

    def everything(x, ancestors):
        slope = jax.value_and_grad(lambda x: total(x, ancestors))
        (value, gradient), (_, product) = jax.jvp(slope, (x,), (direction,))
        return value, gradient, product

    value, gradient, product = jit(everything)(x, ancestors)
    index = explained_by(x, y, where)
    z = np.take_along_axis(x, index, 1).astype(np.float64)
    scale = where * weights.astype(np.float64)
    losses = np.logaddexp(0, np.where(y, -z, z))
    p = 1 / (1 + np.exp(-z))
    rows = np.arange(NUM_SAMPLES)[:, None]
    slopes, products = np.zeros(x.shape), np.zeros(x.shape)
    np.add.at(slopes, (rows, index), scale * (p - y))
    change = np.take_along_axis(direction, index, 1)
    np.add.at(products, (rows, index), scale * p * (1 - p) * change)
    np.testing.assert_allclose(value, np.sum(scale * losses), rtol=1e-6)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(product, products, rtol=1e-5, atol=1e-6)


def test_ancestors_of_positives_are_positive():
    hierarchy = labels.hierarchy(random_edges(), NUM_LABELS)
    given = inputs(obedient=False, masked=False)[1]
    wanted = inputs(obedient=True, masked=False)[1]
    np.testing.assert_array_equal(labels.with_ancestors(given, hierarchy), wanted)
    np.testing.assert_array_equal(labels.with_ancestors(given.astype(int), hierarchy), wanted)
    np.testing.assert_array_equal(labels.with_ancestors(given[0], hierarchy), wanted[0])


@pytest.mark.parametrize("edges", [random_edges(), DIAMOND, np.zeros((0, 2), np.uint8)], ids=len)
def test_information_is_relative_to_all_parents(edges):
    hierarchy = labels.hierarchy(edges, NUM_LABELS)
    y = np.random.default_rng(2).random((30, NUM_LABELS)) < 0.3
    y[:, -1] = False  # a label of no row has a finite information
    found = labels.information_accretion(y, hierarchy)
    y = np.vstack([labels.with_ancestors(y, hierarchy), np.ones(NUM_LABELS, bool)])
    for label in range(NUM_LABELS):
        parents = [int(parent) for parent, child in edges if child == label]
        share = y[y[:, parents].all(axis=1), label].mean()
        np.testing.assert_allclose(found[label], -np.log2(share), rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match=r"labels must be \(N, L\), got"):
        labels.information_accretion(y[0], hierarchy)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16], ids=str)
def test_scores_are_those_of_the_best_descendants(dtype):
    hierarchy = labels.hierarchy(random_edges(), NUM_LABELS)
    scores = inputs(obedient=True, masked=False)[0].astype(dtype)
    wanted = np.stack([scores[:, below].max(1) for below in descendants()], axis=1)
    got = decisions.coherent_scores(scores, hierarchy)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("edges", [random_edges(), DIAMOND, np.zeros((0, 2), np.uint8)], ids=len)
def test_every_edge_is_visited_once_and_in_time(edges):
    hierarchy = labels.hierarchy(edges, NUM_LABELS)
    visited, done = [], -1
    for parents, children in zip(*map(np.asarray, hierarchy[1:]), strict=True):
        heights = np.asarray(hierarchy.heights)[children[children < NUM_LABELS]]
        assert len(set(heights)) == 1
        assert heights[0] >= done
        done = heights[0]
        visited += [pair for pair in zip(parents, children, strict=True) if pair[0] < NUM_LABELS]
    assert sorted(visited) == sorted(set(map(tuple, edges)))
    levels = max(1, int(hierarchy.heights.max()))
    assert hierarchy.parents.size <= 2 * len(visited) + levels
    assert len(hierarchy.parents) <= 2 * levels


def test_heights_are_longest_paths():
    edges = np.array([[0, 1], [1, 2], [0, 2], [3, 2]])
    np.testing.assert_array_equal(labels.hierarchy(edges, 5).heights, [2, 1, 0, 1, 0])


def large(num_labels, chain):
    """Returns a chain with further labels below, two edges per label."""
    rng = np.random.default_rng(3)
    below = np.repeat(np.arange(chain, num_labels), 2)
    edges = np.stack([rng.integers(0, below), below], axis=1)
    return np.concatenate([np.stack([np.arange(chain - 1), np.arange(1, chain)], axis=1), edges])


def test_program_and_memory_of_a_large_hierarchy():
    shape = (4, 5000)
    x, y = np.zeros(shape, np.float32), np.zeros(shape, bool)
    step = jit(
        jax.value_and_grad(
            lambda x, hierarchy: mll.hierarchical_coherence_loss(x, y, ancestors=hierarchy)
        )
    )
    programs = [
        step.lower(x, labels.hierarchy(large(shape[1], chain), shape[1])).compile()
        for chain in (3, 1000)
    ]
    short, long = (len(program.as_text()) for program in programs)
    assert long < 1.1 * short
    held = programs[1].memory_analysis().temp_size_in_bytes
    assert held < 20 * x.nbytes  # a matrix of the labels would be 1250 times as large


def test_a_deep_chain():
    length = 3000
    hierarchy = labels.hierarchy(large(length, length), length)
    x = np.zeros((2, length), np.float32)
    x[0, -1], x[1, 10] = 3, 2
    loss = jax.value_and_grad(
        lambda x: mll.hierarchical_coherence_loss(x, x > 9, ancestors=hierarchy, reduction="sum")
    )
    value, gradient = loss(x)
    softplus = [np.log1p(np.exp(z)) for z in (0, 2, 3)]
    wanted = length * softplus[2] + 11 * softplus[1] + (length - 11) * softplus[0]
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    p = [1 / (1 + np.exp(-z)) for z in (0, 2, 3)]
    np.testing.assert_allclose(gradient[0, -1], length * p[2], rtol=1e-5)
    np.testing.assert_allclose(gradient[1, 10], 11 * p[1], rtol=1e-5)
    # All other labels of the second sample are equal: above the largest one they are explained by
    # it, below it each is explained by itself, which is the first of them.
    np.testing.assert_allclose(gradient[1, 11:], p[0], rtol=1e-5)
    assert not np.any(gradient[:, :10])


def test_hierarchies_go_through_transformations():
    hierarchy = labels.hierarchy(random_edges(), NUM_LABELS)
    x, y, where = inputs(obedient=False, masked=True)

    def loss(x, y, where, hierarchy):
        return mll.hierarchical_coherence_loss(
            x, y, ancestors=hierarchy, where=where, reduction="none"
        )

    wanted = np.zeros(x.shape)
    z = np.take_along_axis(x, explained_by(x, y, where), 1)
    wanted[where] = np.logaddexp(0, np.where(y, -z, z))[where]
    together = jit(jax.vmap(loss, in_axes=(0, 0, 0, None)))(x, y, where, hierarchy)
    np.testing.assert_allclose(together, wanted, rtol=1e-6)
    mesh = jax.make_mesh((NUM_SAMPLES,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    batch, everywhere = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()
    sharded = jax.shard_map(
        loss, mesh=mesh, in_specs=(batch, batch, batch, everywhere), out_specs=batch
    )
    np.testing.assert_allclose(jit(sharded)(x, y, where, hierarchy), wanted, rtol=1e-6)
    (size,) = jax.export.symbolic_shape("size")
    arguments = [jax.ShapeDtypeStruct((size, NUM_LABELS), a.dtype) for a in (x, y, where)]
    exported = jax.export.export(jax.jit(lambda *arrays: loss(*arrays, hierarchy)))(*arguments)
    np.testing.assert_allclose(exported.call(x, y, where), wanted, rtol=1e-6)


def test_an_explicit_mesh():
    hierarchy = labels.hierarchy(DIAMOND, 4)
    explicit = (jax.sharding.AxisType.Explicit,) * 2
    mesh = jax.make_mesh((4, 2), ("data", "labels"), axis_types=explicit)
    x, y = np.arange(16, dtype=np.float32).reshape(4, 4) / 4, np.zeros((4, 4), bool)
    with jax.set_mesh(mesh):
        split = jax.NamedSharding(mesh, jax.sharding.PartitionSpec("data", "labels"))
        value = jit(mll.hierarchical_coherence_loss)(
            jax.device_put(x, split), jax.device_put(y, split), ancestors=hierarchy
        )
    largest = np.repeat(x[:, 3:], 4, axis=1)
    np.testing.assert_allclose(value, np.mean(np.logaddexp(0, largest)), rtol=1e-6)


@pytest.mark.parametrize(
    ("edges", "error", "words"),
    [
        (np.array([[0, 1], [1, 2], [2, 0]]), ValueError, r"cycle.*0 → 1 → 2 → 0|1 → 2 → 0 → 1|2 →"),
        (np.array([[1, 1]]), ValueError, "cycle, got 1 → 1"),
        (np.array([[0, 1], [0, 4]]), ValueError, r"\[0, 4\), got \[0, 4\] at 1"),
        (np.array([[-1, 1]]), ValueError, r"got \[-1, 1\] at 0"),
        (np.array([0, 1]), ValueError, r"\(E, 2\), got \(2,\)"),
        (np.array([[0.0, 1.0]]), TypeError, "integer array, got float64"),
        (np.eye(4, dtype=bool), TypeError, "integer array, got bool"),
    ],
)
def test_wrong_edges(edges, error, words):
    with pytest.raises(error, match=words):
        labels.hierarchy(edges, 4)


def test_misuse_of_a_hierarchy():
    with pytest.raises(TypeError, match="outside of jit"):
        jax.jit(lambda edges: labels.hierarchy(edges, 4))(DIAMOND)
    x, y = np.zeros((2, 4), np.float32), np.zeros((2, 4), bool)
    with pytest.raises(TypeError, match=r"labels\.hierarchy"):
        mll.hierarchical_coherence_loss(x, y, ancestors=DIAMOND)
    with pytest.raises(TypeError, match=r"labels\.hierarchy"):
        labels.with_ancestors(y, DIAMOND)
    other = labels.hierarchy(DIAMOND, 5)
    for call in (
        lambda: mll.hierarchical_coherence_loss(x, y, ancestors=other),
        lambda: labels.with_ancestors(y, other),
        lambda: decisions.coherent_scores(x, other),
    ):
        with pytest.raises(ValueError, match="as many labels as the last axis, 4, got 5"):
            call()

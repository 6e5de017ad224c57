"""Ids of positives: there and back from every form, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from jax.experimental.sparse import BCOO

from mllosses_jax import heads

WIDTH = 12
SHAPES = ((0, 5), (5, 1), (5, 8))  # few, since each is compiled


def with_traps(rng, lists):
    """Returns the ids of lists in a random order, with duplicates and padding in between."""
    rows = []
    for ids in lists:
        row = [*ids, *(rng.choice(ids, 2) if ids else [])]
        rows.append(rng.permutation([*row, *[-1] * (WIDTH - len(row))]))
    return np.array(rows, np.int32).reshape(len(lists), WIDTH)


def bcoo_of(matrix):
    """Returns a label matrix as BCOO, with its entries in any order, explicit zeros and padding."""
    rows, columns = matrix.shape
    entries = np.argwhere(np.ones_like(matrix))[::-1]
    data = matrix[tuple(entries.T)].astype(np.int32)
    entries = np.concatenate([entries, [[rows, columns]]]).astype(np.int32)
    return BCOO((jnp.asarray([*data, 1]), jnp.asarray(entries)), shape=matrix.shape)


@pytest.mark.parametrize("seed", range(20))
def test_there_and_back(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.random(SHAPES[seed % 3]) < rng.choice([0, 0.2, 0.7, 1])
    num_labels = matrix.shape[1]
    lists = [np.flatnonzero(row).tolist() for row in matrix]
    forms = [
        heads.positives_from_dense(matrix),
        heads.positives_from_dense(matrix.astype(np.float32)),
        heads.positives_from_lists(lists),
        heads.positives_from_csr(scipy.sparse.csr_matrix(matrix)),
        heads.positives_from_csr(scipy.sparse.coo_array(matrix.astype(np.int8))),
        heads.positives_from_bcoo(bcoo_of(matrix)),
    ]
    for ids in forms:
        assert ids.dtype == np.int32
        np.testing.assert_array_equal(ids, forms[0])
    for ids in (forms[0], with_traps(rng, lists)):
        assert heads.positives_to_lists(ids) == lists
        csr = heads.positives_to_csr(ids, num_labels)
        np.testing.assert_array_equal(csr.toarray(), matrix)
        assert csr.has_canonical_format
        bcoo = heads.positives_to_bcoo(ids, num_labels)
        assert bcoo.shape == matrix.shape
        np.testing.assert_array_equal(bcoo.indices, np.argwhere(matrix))
        assert (np.asarray(bcoo.data) == 1).all()
    np.testing.assert_array_equal(heads.positives_to_dense(ids, num_labels), matrix)


def test_the_width_may_be_given():
    for ids in (
        heads.positives_from_dense(np.eye(2), max_positives=3),
        heads.positives_from_lists([[0], [1]], max_positives=3),
        heads.positives_from_csr(scipy.sparse.eye_array(2), max_positives=3),
        heads.positives_from_bcoo(BCOO.fromdense(jnp.eye(2)), max_positives=3),
    ):
        np.testing.assert_array_equal(ids, [[0, -1, -1], [1, -1, -1]])


def test_entries_that_are_twice_in_a_sparse_matrix_are_added_up():
    data, rows, columns = [1, 1, 0], [0, 0, 1], [2, 2, 0]
    with pytest.raises(ValueError, match="must hold 0 and 1"):
        heads.positives_from_csr(scipy.sparse.coo_array((data, (rows, columns)), shape=(2, 3)))
    zeros = scipy.sparse.coo_array(([1, 0], ([0, 1], [2, 0])), shape=(2, 3))
    np.testing.assert_array_equal(heads.positives_from_csr(zeros), [[2], [-1]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: heads.check_positives(np.array([[0, 5]]), 5), ValueError, r"got 5 at \[0, 1\]"),
        (lambda: heads.check_positives(jnp.array([[-2]]), 5), ValueError, r"got -2 at \[0, 0\]"),
        (lambda: heads.check_positives(np.array([0]), 5), ValueError, r"shape \(B, K\)"),
        (lambda: heads.check_positives(np.zeros((2, 1), int), 5, batch=3), ValueError, r"\(3, K\)"),
        (lambda: heads.check_positives(np.array([[0.0]]), 5), TypeError, "integer ids, got float"),
        (lambda: heads.check_positives(np.array([[True]]), 5), TypeError, "positives_from_dense"),
        (lambda: heads.positives_to_dense(np.array([[9]]), 5), ValueError, "got 9"),
        (lambda: heads.positives_to_csr(np.array([[9]]), 5), ValueError, "got 9"),
        (lambda: heads.positives_from_lists([[0], [1.5]]), TypeError, r"lists\[1\] must hold int"),
        (lambda: heads.positives_from_lists([[0, -1]]), ValueError, r"lists\[0\].* got -1"),
        (lambda: heads.positives_from_dense(np.array([[0.5]])), ValueError, "soft labels"),
        (lambda: heads.positives_from_dense(np.array([[np.nan]])), ValueError, "soft labels"),
        (lambda: heads.positives_from_dense(np.zeros(3)), ValueError, r"\(B, L\)"),
        (
            lambda: heads.positives_from_csr(scipy.sparse.csr_array([[0.5]])),
            ValueError,
            "soft labels",
        ),
        (
            lambda: heads.positives_from_bcoo(BCOO.fromdense(jnp.array([[0.5]]))),
            ValueError,
            "soft labels",
        ),
        (
            lambda: heads.positives_from_bcoo(BCOO.fromdense(jnp.ones((1, 2)), n_batch=1)),
            ValueError,
            "n_batch=0",
        ),
        (
            lambda: heads.positives_from_lists([[0], [1, 2]], max_positives=1),
            ValueError,
            "max_positives is 1, but sample 1 has 2 positive labels",
        ),
        (
            lambda: heads.positives_from_dense(np.ones((1, 2)), max_positives=1),
            ValueError,
            "sample 0 has 2",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_ids_that_a_program_cannot_look_at_are_ignored_when_out_of_range():
    ids = jnp.array([[1, 7, -5, -1]])
    dense = jax.jit(lambda ids: heads.positives_to_dense(ids, 4))(ids)
    np.testing.assert_array_equal(dense, [[False, True, False, False]])

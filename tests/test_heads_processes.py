"""Two processes train a head as one does; each is fed its own part of the data."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from head_process import LABELS, OPTIONS, SHAPES, batches, first_kernel

from mllosses_jax import heads


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Returns what each process wrote."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    script = Path(__file__).parent / "head_process.py"
    environment = {**os.environ, "PYTHONPATH": str(script.parent.parent)}
    files = [folder / f"{rank}.json" for rank in range(2)]
    running = [
        subprocess.Popen(
            [sys.executable, script, port, str(rank), file],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, file in enumerate(files)
    ]
    try:
        outputs = [process.communicate(timeout=400)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], outputs
    return [json.loads(file.read_text()) for file in files]


@pytest.fixture(scope="module")
def alone():
    """Returns the losses and the kernel of one process."""
    state, losses = heads.HeadState(jnp.asarray(first_kernel())), []
    for batch in batches():
        state, value, _ = heads.linear_head_sgd_step(state, *batch, **OPTIONS)
        losses.append(float(value))
    return losses, np.asarray(state.kernel)


@pytest.mark.parametrize("layout", SHAPES)
def test_two_processes(layout, results, alone):
    losses, kernel = alone
    parts = {}
    for result in results:
        found = np.array(result[layout]["losses"])
        np.testing.assert_allclose(found, np.repeat(losses, 2).reshape(-1, 2), rtol=2e-6)
        parts |= result[layout]["parts"]
    whole = np.concatenate([parts[start] for start in sorted(parts, key=int)])
    np.testing.assert_allclose(whole[:LABELS], kernel, rtol=2e-5, atol=1e-6)
    assert not whole[LABELS:].any()
    if layout == "labels":  # each process holds the rows of its own labels only
        assert {len(result[layout]["parts"]) for result in results} == {4}
        assert len(parts) == 8

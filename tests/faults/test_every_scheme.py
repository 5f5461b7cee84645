"""Runs of every scheme that are killed go on and end bit-equal to one that was not.

Divided attention is what `test_stop_and_resume` kills.
"""

import random
import time

import pytest

from tests.faults.processes import LONG, assert_same_end, finish, start, wait_for_step


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["space", "joint", "axial", "sparse_local_global"])
def test_every_other_scheme_killed_at_a_random_moment(motions_dir, tmp_path, scheme):
    options = LONG | {"model.scheme": scheme, "train.steps": 30, "eval.every_steps": 13}
    reference, workdir = tmp_path / "reference", tmp_path / "run"
    assert finish(motions_dir, reference, **options)[0] == 0
    moment = random.Random().randrange(4, 20)
    process = start(motions_dir, workdir, **options)
    wait_for_step(process, workdir, moment)
    time.sleep(random.random() / 2)
    process.kill()
    process.wait()
    code, error = finish(motions_dir, workdir, **options)
    assert code == 0, error
    print(f"killed after step {moment}")
    assert_same_end(workdir, reference, 30)

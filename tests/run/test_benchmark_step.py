"""Benchmarks of step and inference: what they count hangs together, and every round has its turn.

No test looks at how long something takes.
"""

import json
import math

import jax.numpy as jnp
import pytest

from tests import tiny_run
from tests.run.benchmarks_on_four_devices import HUGE, OPTIONS
from vidtx.analysis import count_macs
from vidtx.errors import MachineError
from vidtx.models import create_model
from vidtx.run.benchmark_program import gigabytes, out_of_memory
from vidtx.run.benchmark_rounds import Spread, Timing, time_in_turns


@pytest.fixture(scope="module")
def ran(motions_dir):
    return tiny_run.run_program("tests.run.benchmarks_on_four_devices", str(motions_dir), devices=4)


@pytest.fixture(scope="module")
def step(ran):
    return ran["all"]["found"]["step"]


@pytest.fixture(scope="module")
def inference(ran):
    return ran["all"]["found"]["inference"]


@pytest.fixture(scope="module")
def compared(ran):
    assert ran["compared"]["code"] == 0, ran["compared"]["err"]
    return json.loads(ran["compared"]["out"])


def check_timing(timing):
    assert 1 <= len(timing["rounds"]) <= 10
    assert min(timing["rounds"]) > 0
    assert timing["steps"] >= 1
    spread = timing["seconds"]
    assert min(timing["rounds"]) <= spread["low"] <= spread["median"] <= spread["high"]
    assert spread["high"] <= max(timing["rounds"])


def test_a_step_is_of_the_run_on_its_mesh(step):
    mesh = {"data": 2, "fsdp": 1, "sequence": 2, "tensor": 1}
    assert step["devices"] == {"kind": "cpu", "platform": "cpu", "count": 4, "mesh": mesh}
    assert step["global_batch"] == OPTIONS["train.global_batch"]
    assert step["clip"] == [4, 32, 32]
    assert step["attention"] == {"space": "xla"}
    assert step["compilation"]["trace_seconds"] > 0 < step["compilation"]["compile_seconds"]
    assert step["first_step_seconds"] > 0 < step["place_seconds"]
    assert step["compiler_flops"] > 0 < step["compiler_bytes"]
    assert not step["loops"]


def test_rates_follow_from_the_median(step):
    check_timing(step["timing"])
    rate = step["clips_per_second"]
    assert rate * step["timing"]["seconds"]["median"] == pytest.approx(step["global_batch"])
    assert step["clips_per_second_per_device"] * 4 == pytest.approx(rate)
    model = create_model(
        "timesformer_ti8", scheme="space", num_classes=8, num_frames=4, image_size=32,
        embed_dim=32, depth=1, num_heads=2,
    )  # fmt: skip
    macs = count_macs(model).total
    assert step["gmacs"] == pytest.approx(macs / 1e9)
    # Forward and twice as much backward, two operations a multiply-add.
    assert step["model_tflops_per_second"] == pytest.approx(6 * macs * rate / 4 / 1e12)
    assert step["mfu"] is None  # a processor's peak is not known


def test_the_state_was_trained_as_often_as_steps_were_timed(step):
    timing = step["timing"]
    # One more to begin with, and one for an estimate.
    assert step["steps_taken"] == 2 + len(timing["rounds"]) * timing["steps"]


def test_memory_is_the_sum_of_its_parts(step, inference):
    for memory in (step["memory"], *(one["memory"] for one in inference["batches"])):
        parts = ("arguments", "results", "temporaries", "code")
        assert memory["total"] == sum(memory[part] for part in parts)
        assert memory["arguments"] > 0 < memory["temporaries"]
        assert memory["measured_peak"] is None  # a processor does not count
    # State and batch are given back where they were: what is returned beside them is little.
    assert step["memory"]["results"] < 0.05 * step["memory"]["arguments"]


def test_inference_by_batch_over_the_views_of_a_video(inference):
    small, large = inference["batches"]
    assert (small["batch"], large["batch"]) == (2, 4)
    assert inference["views"] == 2
    for one in inference["batches"]:
        check_timing(one["timing"])
        rate = one["clips_per_second"]
        assert rate * one["timing"]["seconds"]["median"] == pytest.approx(one["batch"])
        assert one["videos_per_second"] == pytest.approx(rate / 2)
        assert 0 < one["latency"]["median"] <= one["latency"]["p95"]
        assert one["latency"]["samples"] >= 1
    # Two clips more, of uint8, over two parts.
    more = large["memory"]["arguments"] - small["memory"]["arguments"]
    assert more == 4 * 32 * 32 * 3
    assert list(inference["refused"]) == ["3"]
    assert "multiple of the 2 parts" in inference["refused"]["3"]


def test_what_bounds_follows_from_what_was_measured(ran):
    found = ran["all"]["found"]
    bound, costs, step = found["bound"], found["input"]["costs"], found["step"]
    assert bound["fed"] == pytest.approx(1 / costs["wall"])
    assert bound["eaten"] == step["clips_per_second"]
    assert bound["placed"] * step["place_seconds"] == pytest.approx(step["global_batch"])
    assert bound["fed_at_most"] == pytest.approx(bound["cores"] / costs["loader"])
    assert bound["cores_needed"] == pytest.approx(bound["eaten"] * costs["loader"])
    rates = {"input": bound["fed"], "placing": bound["placed"], "step": bound["eaten"]}
    assert rates[bound["bound"]] == min(rates.values())
    waits = 1 - min(rates.values()) / bound["eaten"]
    assert bound["input_bound_share"] == pytest.approx(waits)


def test_the_tables_show_the_numbers(ran, step, inference):
    text, bound = ran["all"]["text"], ran["all"]["found"]["bound"]
    shown = [step["clips_per_second"], step["clips_per_second_per_device"], bound["fed"]]
    shown += [1e3 * step["timing"]["seconds"]["median"], bound["eaten"], bound["placed"]]
    shown += [one["videos_per_second"] for one in inference["batches"]]
    shown += [1e3 * one["latency"]["p95"] for one in inference["batches"]]
    for number in shown:
        assert f"{number:.4g}" in text
    assert gigabytes(step["memory"]["temporaries"]) in text
    assert "mesh data 2 × fsdp 1 × sequence 2 × tensor 1" in text
    assert "space: xla" in text
    assert "it says nothing about any accelerator" in text
    assert "4 devices are simulated" in text
    assert "share the same cores" in text


def test_work_is_done_in_order(ran):
    assert ran["all"]["notes"] == [
        "input",
        *(f"train step: {what}" for what in ("compiling", "first step", "timing")),
        *(f"inference: {batch} clips at once" for batch in (2, 3, 4)),
    ]
    assert ran["compared"]["err"].splitlines() == [
        "… mesh.sequence=2: compiling",
        "… mesh.sequence=2: first step",
        "… mesh.sequence=1: compiling",
        "… mesh.sequence=1: first step",
        "… timing 2 in turns",
    ]


def test_a_comparison_times_the_same_rounds_of_each_mesh(compared):
    assert compared["option"] == "mesh.sequence"
    two, three, one = compared["steps"]
    assert [step["value"] for step in compared["steps"]] == ["2", "3", "1"]
    assert [step["found"]["devices"]["mesh"]["data"] for step in (two, one)] == [2, 4]
    first, second = (step["found"]["timing"] for step in (two, one))
    for timing in (first, second):
        check_timing(timing)
    assert len(first["rounds"]) == len(second["rounds"])
    ratios = [b / a for a, b in zip(first["rounds"], second["rounds"], strict=True)]
    assert one["ratio"]["median"] == pytest.approx(Spread.of(ratios).median)
    assert two["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert two["reason"] is None is one["reason"]
    assert three["found"] is None is three["ratio"]
    assert "hold 3 devices, but there are 4" in three["reason"]


def test_compared_steps_share_one_train_state(compared):
    two, _, one = (step["found"] for step in compared["steps"])
    timed = sum(len(f["timing"]["rounds"]) * f["timing"]["steps"] for f in (two, one))
    # More than those: first steps, and warming up after the other has run.
    assert two["steps_taken"] == one["steps_taken"] >= timed + 4


def test_the_commands_for_step_and_inference(ran):
    assert ran["step"]["code"] == 0
    assert "train step of motions_divided" in ran["step"]["out"]
    assert "clips/s" in ran["step"]["out"]
    found = json.loads(ran["inference"]["out"])
    assert [one["batch"] for one in found["batches"]] == [4]
    assert found["run"] == "motions_divided"


def test_what_does_not_fit_says_what_lowers_it(ran):
    assert ran["too_large"]["code"] == MachineError.exit_code
    error = json.loads(ran["too_large"]["out"])["error"]
    assert f"--batch of {HUGE}" in error["message"]
    assert "of memory" in error["message"]
    assert "What lowers it: smaller" in error["message"]


def test_all_needs_the_data_set(ran):
    assert ran["all_of_absent_data"]["code"] == 2
    assert "no data set 'motions'" in ran["all_of_absent_data"]["err"]


def test_memory_that_a_device_cannot_give():
    with pytest.raises(MachineError, match="Give it less") as raised, out_of_memory("Give it less"):
        jnp.zeros(2**50, jnp.uint8).block_until_ready()
    assert "does not fit" in str(raised.value)
    with pytest.raises(RuntimeError, match="another"), out_of_memory("Give it less"):
        raise RuntimeError("another")


class Walker:
    """A contender whose steps take a known time of a clock that only it moves."""

    def __init__(self, name, seconds, seen):
        self.name, self.seconds, self.seen = name, seconds, seen

    def get_ready(self):
        self.seen.append(f"{self.name} gets ready")

    def run(self, steps):
        self.seen.append((self.name, steps))
        self.seen.now += steps * self.seconds


class Seen(list):
    now = 0.0


def test_rounds_go_back_and_forth_within_their_time():
    seen = Seen()
    walkers = [Walker("a", 1.0, seen), Walker("b", 0.5, seen)]
    found = time_in_turns(walkers, [1.0, 0.5], seconds=60.0, clock=lambda: seen.now)
    turns = [entry for entry in seen if isinstance(entry, tuple)]
    assert turns[:4] == [("a", 3), ("b", 6), ("b", 6), ("a", 3)]
    assert len(turns) == 20
    assert seen.now == 60.0
    assert seen[0::2] == [f"{name} gets ready" for name, _ in turns]
    assert [timing.seconds.median for timing in found] == [1.0, 0.5]
    assert found[0].ratio_to(found[1]) == Spread(2.0, 2.0, 2.0)


def test_slow_steps_are_measured_once_and_no_round_ends_too_late():
    seen = Seen()
    (found,) = time_in_turns([Walker("a", 9.0, seen)], [9.0], 5.0, clock=lambda: seen.now)
    assert found == Timing.of([9.0], 1)
    seen = Seen()
    (found,) = time_in_turns([Walker("a", 9.0, seen)], [9.0], 30.0, clock=lambda: seen.now)
    assert len(found.rounds) == 3
    assert seen.now <= 30.0


def test_a_spread_has_half_of_the_values_between_its_ends():
    found = Spread.of([5.0, 1.0, 2.0, 4.0, 3.0])
    assert found == Spread(median=3.0, low=2.0, high=4.0)
    assert math.isclose(Spread.of([7.0]).high, 7.0)

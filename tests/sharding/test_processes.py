import pytest

from tests.tiny_run import run_two_processes
from vidtx.errors import ConfigError
from vidtx.sharding import job, processes


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What the two processes found, their exit codes and standard errors."""
    folder = tmp_path_factory.mktemp("agreeing")
    return run_two_processes("tests.sharding.agreeing", folder, devices=1, fails=True)


def test_they_know_each_other(both):
    (first, second), _, _ = both
    assert (first["index"], second["index"]) == ([0, 2, True], [1, 2, False])
    assert first["exchanged"] == second["exchanged"] == ["from 0", "from 1"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("on_lead", {"by": 0, "found": [1, None]}),
        ("refused_by_lead", ["ConfigError", "no", True]),
        ("refused_by_one", ["DataQualityError", "On process 1: bad", True]),
        ("nested", ["ConfigError", "no", True]),
        ("same", None),
        ("handlers", [True]),
    ],
)
def test_they_agree(both, name, wanted):
    (first, second), _, _ = both
    assert first[name] == second[name] == wanted


def test_what_all_can_do_each_keeps(both):
    (first, second), _, _ = both
    assert (first["agreed"], second["agreed"]) == (0, 1)


def test_what_differs_is_named(both):
    (first, second), _, _ = both
    assert first["different"] == second["different"]
    kind, message, together = first["different"]
    assert (kind, together) == ("ConfigError", True)
    assert message.splitlines() == [
        "The processes of this job differ:",
        "  - a.b: 0 on process 0, 1 on process 1",
        "  - d: 0 on process 0, 1 on process 1",
        "Mend it.",
    ]


def test_a_signal_to_one_stops_both_at_the_same_point(both):
    (first, second), _, _ = both
    assert first["stopped"] == second["stopped"]
    point, name = first["stopped"]
    assert name == "SIGTERM"
    assert point > 40


def test_one_that_fails_alone_takes_the_other_with_it(both):
    _, codes, errors = both
    assert codes == [ConfigError.exit_code] * 2
    assert errors[1].endswith("vidtx: process 1: alone\nand more\n")
    assert errors[0] == "vidtx: process 0: process 1 has failed, and so this one ends too: alone\n"


def test_one_process_needs_nobody():
    assert (processes.count(), processes.index(), processes.is_lead()) == (1, 0, True)
    assert processes.exchange("this") == ["this"]
    assert processes.on_lead(lambda: (1, 2)) == [1, 2]
    processes.check_same({"a": 1}, "Mend it.")
    error = ConfigError("mine")

    def fail():
        raise error

    for function in (processes.on_lead, processes.agree):
        with pytest.raises(ConfigError) as raised:
            function(fail)
        assert raised.value is error
    with pytest.raises(KeyError), job.ending_together():
        raise KeyError("mine")

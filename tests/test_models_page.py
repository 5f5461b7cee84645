"""docs/models.md says what the paper, the configs and the compiler say, and nothing else."""

import functools
import json
import re

import pytest

from benchmarks import models
from benchmarks.compiled import Results
from benchmarks.models_runs import ROWS, parameters_of, spec_of
from experiments.published import PUBLISHED
from vidtx.analysis import count_parameters
from vidtx.run.setup import model_of


@functools.cache
def runs():
    """The page's lines of runs, by config: the other cells."""
    lines = re.findall(r"^\| \[`(.+?)`\]\(.+?\) \| (.*) \|$", models.PAGE.read_text(), flags=re.M)
    assert len(lines) == len(dict(lines))
    return {config: cells.split(" | ") for config, cells in lines}


def test_it_is_what_the_command_writes(capsys):
    models.main(["--print"])
    assert capsys.readouterr().out == models.PAGE.read_text()


def test_every_run_is_there_with_the_paper_s_figures():
    assert runs().keys() == {row.reference for row in ROWS}
    for row in PUBLISHED:
        _, pixels, _, _, _, parameters, cost, accuracies, released, weights, _ = runs()[
            row.reference
        ]
        top = [float(value) for value in re.findall(r"[\d.]+", accuracies)]
        assert row.top1 in (None, *top[:1])
        assert row.top5 in (None, *top[1:])
        assert row.difference is None or top == [-row.difference]
        assert row.released_top1 is None or str(row.released_top1) in released
        assert row.weights is None or row.weights in weights
        assert pixels == f"{row.side}²"
        macs, views = (float(value.replace(",", "")) for value in cost.split(" × "))
        # As printed in the paper: Table 1's parameters are those of 174 classes.
        assert row.tera_macs is None or round(macs * views / 1000, 2) == row.tera_macs
        if row.parameters and row.dataset == "Something-Something V2":
            assert float(parameters) == pytest.approx(row.parameters, abs=0.05)


def test_parameters_are_those_of_one_block_and_so_many_more():
    spec = spec_of("ssv2_divided:variant=L/16,pretrain=in21k")
    assert parameters_of(spec) == count_parameters(model_of(spec, 174))["total"]


def test_what_it_links_is_there():
    links = re.findall(r"\]\((?!https:)([^)]+)\)", models.PAGE.read_text())
    assert len(links) > len(PUBLISHED) / 2
    assert all((models.DOCS / link).exists() for link in links), links


def test_what_was_not_compiled_or_does_not_fit_is_told(tmp_path):
    known = tmp_path / "models.json"
    config, place = "k400_divided:variant=L/16", "v5e:1x1"
    names = [models.step_of(config, place).name(depth) for depth in (1, 2)]
    known.write_text(json.dumps({name: {"too_large": "It does not fit."} for name in names}))
    text = "\n".join(models.slices(Results(known, 0, elsewhere=[models.DOCS / "scaling.json"])))
    v5e, v6e, _ = re.split("(?m)^### ", text)[1:]
    assert f"| `{config}` | none | not one | – |" in v5e
    assert "| `k400_divided` | none | 8 | 11.3 |" in v5e
    assert "left out: `k400_space`, `k400_joint`" in v5e
    absent = v6e.partition("left out: ")[2].strip(" .\n").split(", ")
    compiled = {"k400_divided", "k400_divided:hr", "k400_divided:l"}
    assert {name.strip("`") for name in absent} == models.PROGRAMS.keys() - compiled


def test_a_run_without_a_program_is_refused(monkeypatch, tmp_path):
    monkeypatch.delitem(models.PROGRAMS, "k400_axial")
    with pytest.raises(SystemExit, match="has no model and clip of k400_axial, ssv2_divided:axial"):
        models.page(Results(tmp_path / "none.json", 0))

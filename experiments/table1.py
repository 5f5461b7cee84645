"""The five attention schemes at one budget on the embedded data set, as Table 1 compares them.

    make table1
    python -m vidtx.compare --config=experiments/table1.py --workdir=runs/table1

Model, data, steps and optimiser are those of ``experiments/motions.py`` and the same for each
scheme; parameters and multiply-adds differ, as in the paper.
"""

from experiments import motions

ARGUMENTS = ("space", "joint", "divided", "sparse_local_global", "axial")  # to be compared


def get_config(argument=None):
    """One scheme of the comparison; divided unless given."""
    config = motions.get_config(argument)
    config.name = config.name.replace("motions", "table1", 1)
    config.eval.every_steps = 140  # ten points of a curve, each some three seconds
    return config

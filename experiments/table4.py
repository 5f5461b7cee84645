"""Divided attention with each position embedding on the embedded data set, as in Table 4.

    make table4
    python -m vidtx.compare --config=experiments/table4.py --workdir=runs/table4

All else is as in ``experiments/table1.py``, whose divided run is this one's ``space_time``. Without
a time embedding no attention can tell a clip from the same clip backwards, so that ``none`` and
``space`` cannot pass 50 % on these classes.
"""

from experiments import table1
from experiments.arguments import Key, parse

ARGUMENTS = ("none", "space", "space_time")  # to be compared


def get_config(argument=None):
    """One position embedding of the comparison; space_time unless given."""
    words = parse(argument, {"positions": Key(ARGUMENTS, bare=True)}, local=False)
    config = table1.get_config("divided")
    config.model.position_embedding = words.get("positions", "space_time")
    config.name = f"table4_{config.model.position_embedding}"
    return config

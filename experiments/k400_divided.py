"""TimeSformer on Kinetics-400, 8 frames of 224² at a stride of 32 (Tables 1 and 5).

    python -m vidtx.main --config=experiments/k400_divided.py --workdir=runs/k400_divided

Another scheme of Table 1 behind a colon, such as ``experiments/k400_divided.py:joint``. The paper
starts from ImageNet weights and reports 78.0 % top-1; trained from scratch, as here, it reports
64.8 % with a longer schedule and more augmentation.
"""

from experiments.defaults import defaults


def get_config(scheme=None):
    """The paper's recipe; ``scheme`` is divided unless given."""
    config = defaults()
    config.model.scheme = scheme or "divided"
    config.name = f"k400_{config.model.scheme}"
    config.model.dtype = "bfloat16"
    config.data.name = "kinetics400"
    config.data.threads = 16
    config.train.epochs = 15.0
    return config

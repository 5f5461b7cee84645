r"""TimeSformer on whole videos of HowTo100M: which task is shown (Table 8).

    python -m vidtx.main --config=experiments/howto100m_divided.py --workdir=runs/howto100m
    python -m vidtx.main --config=howto100m_divided:frames=96 --workdir=runs/howto100m_96

``frames`` of a clip are 8, unless given, 32, 64 or 96 in the paper. They are 32 apart at 30 frames
per second, so that these clips last 8.5 s, 34.1 s, 68.3 s and 102.4 s. A video is judged on as many
clips as cover it, one behind the other: 48, 12, 6 or 4 on average, says the paper; here at most
twice as many, evenly spread over longer videos.

It begins with the TimeSformer of Kinetics-400, from which the paper reports 56.8 %, 61.2 %, 62.2 %
and 62.6 % top-1 of 1059 classes; with ``pretrain=in21k`` 56.0 %, 59.2 %, 60.2 % and 62.1 %, with
``pretrain=in1k`` 52.8 %, 58.4 %, 59.2 % and 59.4 %. The first were trained by the authors on
Kinetics-400, of which the released base model stands here for any number of frames. The paper takes
the classes of 100 videos or more, 120,000 videos, and a random split of 85,000 to 35,000, which has
no published list, and leaves the number of crops open: here one. It judges whole videos, which
``vidtx data build howto100m --record_seconds=none`` stores. Of records of 30 s, its default, each
is judged by itself; four clips of 8 frames cover one (``--config.eval.temporal_views=4``), and
those of 32 frames or more hold its last frame to their end.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("howto100m", "howto100m", argument, pretrain="k400")

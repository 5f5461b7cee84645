r"""TimeSformer on whole videos of HowTo100M: which task is shown (Table 8).

    python -m vidtx.main --config=experiments/howto100m_divided.py --workdir=runs/howto100m \
        --config.train.init_from=runs/k400_divided

Frames of a clip behind a colon, ``8``, ``32``, ``64`` or ``96``, and a scheme, such as
``experiments/howto100m_divided.py:divided,96``. Frames are 32 apart at 30 frames per second, so
that these clips last 8.5 s, 34.1 s, 68.3 s and 102.4 s. A video is judged on as many clips as cover
it, one behind the other: 48, 12, 6 or 4 on average, says the paper; here at most twice as many,
evenly spread over longer videos.

Starting from weights of Kinetics-400, the paper reports 56.8 %, 61.2 %, 62.2 % and 62.6 % top-1 of
1059 classes. It takes the classes of 100 videos or more, 120,000 videos, and a random split of
85,000 to 35,000, which has no published list, and leaves the number of crops open: here one. It
judges whole videos, which ``vidtx data build howto100m --record_seconds=none`` stores. Of records
of 30 s, its default, each is judged by itself; four clips of 8 frames cover one
(``--config.eval.temporal_views=4``), and those of 32 frames or more hold its last frame to their
end.
"""

from experiments.recipes import Size, recipe

_VIEWS = {8: 96, 32: 24, 64: 12, 96: 8}


def get_config(argument=None):
    """The paper's recipe; ``argument``: a number of frames (8 unless given), a scheme, or both."""
    sizes = {str(frames): Size(frames, 32, 224) for frames in _VIEWS}
    config = recipe("howto100m", "howto100m", argument, eval_split="test", sizes=sizes)
    config.data.target_fps = 30.0
    config.eval.temporal_position = "cover"
    config.eval.temporal_views = _VIEWS[config.data.frames]
    config.eval.spatial_crops = 1
    config.eval.global_batch = 1  # a step holds all clips of its videos
    return config

"""TimeSformer on Kinetics-400: divided attention, 8 frames of 224² at a stride of 32.

    python -m vidtx.main --config=experiments/k400_divided.py --workdir=runs/k400_divided

The recipe is Appendix A's. It begins with ViT-B/16 of ImageNet-21K, from which the paper reports
78.0 % top-1 and 93.7 % top-5 (Tables 1 and 5; 0.59 T multiply-adds over three crops, 121.4 M
parameters); of the model released with their code the authors report 77.9 % and 93.2 %.

All ablations are arguments, of which ``docs/recipes.md`` has a table; the paper's top-1:

* ``pretrain=in1k`` 75.8 % (Table 3), ``pretrain=none`` 64.8 %, with a longer schedule and more
  augmentation than here;
* ``positions=none`` 75.4 %, ``positions=space`` 77.8 % (Table 4);
* about, section 4.7: ``variant=L/16`` 1 % less, ``variant=S/16`` 5 % less, ``variant=B/32`` 3 %
  less, ``order=space_time`` 0.5 % less, ``order=parallel`` 0.4 % less;
* ``frames=32`` and others: Figure 5, without values.
"""

from experiments.recipes import recipe


def get_config(argument=None):
    """The paper's recipe; ``argument`` as of ``docs/recipes.md``."""
    return recipe("k400", "kinetics400", argument)

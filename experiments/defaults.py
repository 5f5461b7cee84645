"""Every option of a run, its default, and what it means.

The defaults are the paper's base model and recipe (section 4 and Appendix A): ViT-B/16 on 8 frames
of 224², divided attention, 15 epochs of SGD. An experiment changes what it needs to.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def defaults() -> ConfigDict:
    """The shared defaults. Keys are fixed: a name that is not here is refused."""
    config = ConfigDict()
    config.name = "unnamed"
    config.seed = 0  # of weights, order of data, crops and stochastic depth

    config.model = model = ConfigDict()
    model.name = "timesformer_b16"  # size (ti, s, b, l, h) and patch size in pixels
    model.scheme = "divided"  # space, joint, divided, sparse_local_global, axial
    model.drop_path = 0.1  # stochastic depth of the last block, growing from 0 in the first
    model.position_embedding = "space_time"  # none, space, space_time (Table 4)
    model.init_stddev = 0.02  # of kernels and tables; for a narrow model, 1/√width
    model.time_init_stddev = 0.0  # of the time embedding; above 0 from scratch
    model.dtype = "float32"  # of the computation; bfloat16 on TPU. Weights are float32
    model.embed_dim = placeholder(int)  # in place of the named size's
    model.depth = placeholder(int)
    model.num_heads = placeholder(int)
    model.attention = "auto"  # what computes it: xla, splash (TPU), cudnn (GPU); auto: the best
    # What is computed again in the backward pass, to save memory: none; products, all but matrix
    # products with weights; full, every block from its input.
    model.remat = "none"
    model.scan_layers = False  # one compiled block for all: compiles sooner, runs slower

    config.data = data = ConfigDict()
    data.name = "kinetics400"  # NAME or NAME:VERSION, a TFDS folder of encoded video
    data.data_dir = "data"  # holds NAME/VERSION/
    data.source = "tfds"  # or folder: NAME/SPLIT/CLASS/*.mp4 as they are, slower
    data.train_split = "train"  # also slices, such as train[:10%]
    data.eval_split = "validation"
    data.per_class = placeholder(int)  # trains on so many videos of each class; None: on all
    data.frames = 8  # of a clip
    data.stride = 32  # frames from one to the next
    # stride: frames exactly so far apart; span, the authors' code: spread from first to last of
    # frames × stride; segments: one of each of so many equal parts of the video.
    data.sampling = "stride"
    data.target_fps = placeholder(float)  # what the stride counts in; None: the video's own rate
    data.image_size = (224, 224)  # height and width of a clip
    data.short_side = (256, 320)  # a training video's shorter side before the crop, drawn between
    data.short_side_draw = "uniform"  # or inverse: 1/length is uniform
    data.eval_short_side = 224
    data.short_videos = "repeat_last"  # or loop
    data.flip = True  # left to right, half of the training clips; False where classes tell sides
    data.rand_augment = 0  # RandAugment: operations a clip; 0: none
    data.rand_augment_magnitude = 9.0  # of 10
    data.color_jitter = 0.0  # largest relative change of brightness, contrast and saturation
    data.erase = 0.0  # random erasing: the share of clips that lose a rectangle
    data.multi_label = False  # any number of classes a video; trains a yes or no for each
    data.mean = (0.45, 0.45, 0.45)  # (pixels / 255 - mean) / std, in the order of the channels
    data.std = (0.225, 0.225, 0.225)
    data.channel_order = "rgb"  # in which the model is fed; bgr: the authors' SSv2 models
    data.max_bad = 0.01  # highest share of unreadable videos
    data.threads = 2  # decoding threads of a host, or of each worker; 0: decode in between
    data.workers = 0  # decoding processes of a host; 0: threads alone, which suffice as a rule

    config.train = train = ConfigDict()
    train.global_batch = 64  # clips of a step over all devices
    train.accumulate = (
        1  # parts that a step takes its batch in, one after the other, to save memory
    )
    train.steps = placeholder(int)  # exactly one of steps, epochs and examples
    train.epochs = placeholder(float)  # passes over the training split
    train.examples = placeholder(int)  # clips
    train.label_smoothing = 0.0
    train.mixup = 0.0  # alpha of Beta(alpha, alpha), the share of each clip of two; 0: no mixup
    train.cutmix = 0.0  # alpha; 0: no cutmix. With both, every pair of clips draws one of the two
    train.ema_decay = placeholder(float)  # of averaged weights, which are then what is judged
    # Whose weights this run begins with: a run directory, another library's weights, or
    # hf:OWNER/NAME of the Hugging Face Hub.
    train.init_from = placeholder(str)
    # How their position embeddings are resized: nearest, bilinear, bicubic, each in two dimensions;
    # nearest_1d, the authors' code, over the patches in a row.
    train.init_resize = "nearest"
    train.log_every_steps = 50

    config.optimizer = optimizer = ConfigDict()
    optimizer.name = "sgd"  # sgd (Nesterov) or adamw
    optimizer.learning_rate = 0.005
    optimizer.schedule = "step"  # step, cosine, constant; each after the warm-up
    optimizer.warmup_steps = 0  # exactly one of steps, epochs and examples
    optimizer.warmup_epochs = placeholder(float)
    optimizer.warmup_examples = placeholder(int)
    optimizer.decay_at = (11 / 15, 14 / 15)  # step: shares of the run at which the rate drops
    optimizer.decay_factor = 0.1  # step: what it is multiplied with there
    optimizer.momentum = 0.9  # sgd
    optimizer.b1 = 0.9  # adamw
    optimizer.b2 = 0.999  # adamw
    optimizer.weight_decay = 1e-4  # sgd: into the gradient (L2); adamw: decoupled
    optimizer.weight_decay_on = "all"  # all parameters, no_1d (no biases, no norms), or kernels
    optimizer.clip_norm = placeholder(float)  # of the global gradient norm
    optimizer.layer_decay = 1.0  # factor of the learning rate from each block to the one below it
    optimizer.freeze = ()  # patterns of parameters that stay as they are
    optimizer.groups = ()  # (pattern, factor of the learning rate, factor of the weight decay)

    config.eval = evaluation = ConfigDict()
    evaluation.global_batch = 16  # videos of a step; each has temporal_views × spatial_crops clips
    evaluation.every_steps = placeholder(int)  # at most one of the three; none: at the end only
    evaluation.every_epochs = placeholder(float)
    evaluation.every_examples = placeholder(int)
    evaluation.temporal_views = 1  # clips of a video; with cover the most of them
    # middle: one in the middle, more from the first possible to the last; start, the authors' code:
    # one from frame 0, view k of K at k/K of the last start; cover: one after the other.
    evaluation.temporal_position = "middle"
    evaluation.spatial_crops = 3  # 1 (centre) or 3 (along the longer side)
    evaluation.average = "softmax"  # of a video's views; logits reproduces the authors' code
    evaluation.state = "newest"  # with --mode=eval: the newest state, or the best that is kept

    config.checkpoint = checkpoint = ConfigDict()
    checkpoint.every_steps = 500  # exactly one of steps, epochs and examples
    checkpoint.every_epochs = placeholder(float)
    checkpoint.every_examples = placeholder(int)
    checkpoint.keep = 2  # the newest so many
    checkpoint.keep_every_steps = placeholder(int)  # and for ever those of multiples of it
    checkpoint.keep_best = 0  # and the so many best of those that were judged, in best/

    config.mesh = mesh = ConfigDict()
    mesh.data = -1  # the devices that are left
    mesh.fsdp = 1  # devices that split a batch and the weights
    mesh.sequence = 1  # devices that split a clip: its frames or, through time, its patch positions
    mesh.tensor = 1  # devices that split heads and hidden layers

    config.profile = profile = ConfigDict()
    profile.first_step = placeholder(int)  # the first step that is traced; None: no trace
    profile.steps = 5  # steps of the trace, which profile/ then holds

    config.debug = debug = ConfigDict()
    debug.check_nans = False  # stop in the operation that makes the first NaN; slow
    debug.one_batch = False  # every step takes batch 0: a sound model learns it by heart
    return config

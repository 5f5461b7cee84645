"""The tiny run that the tests describe, as a command line."""

TINY = {
    "model.scheme": "joint",
    "model.embed_dim": 32,
    "model.depth": 1,
    "model.num_heads": 2,
    "data.frames": 4,
    "train.global_batch": 8,
    "train.steps": "None",
    "train.epochs": 3.0,
    "eval.every_epochs": 1.0,
    "eval.every_steps": "None",
    "optimizer.warmup_steps": 4,
    "checkpoint.every_steps": 2,
}
NOWHERE = "no_such_folder"


def options(data_dir=NOWHERE, **changes):
    pairs = TINY | {"data.data_dir": data_dir} | changes
    return [f"--config.{name}={value}" for name, value in pairs.items()]

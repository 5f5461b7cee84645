"""What `vidtx.run.describe` finds, as tables for a person."""

from collections.abc import Iterator, Mapping
from typing import Any

from vidtx.reporting import format_table

__all__ = ["description_text"]

_NO_RATE = 30  # frames a second that a clip's length is told at, where each video has its own

_MEMORY = {
    "weights": ("weights", "exactly"),
    "optimizer": ("optimiser", "exactly"),
    "averaged_weights": ("averaged weights", "exactly"),
    "gradients": ("gradients", "at most"),
    "batch": ("batch, uint8", "exactly"),
    "clips_as_floats": ("its clips as float32", "at most"),
    "activations": ("kept for the backward pass", "about"),
    "cast_weights": ("weights in the dtype of the computation", "at most"),
}


def description_text(found: Mapping[str, Any]) -> str:
    """The tables.

    Args:
      found: as `vidtx.run.describe.describe` gives it.
    """
    sections = {
        "MODEL": _model(found["model"]),
        "COST": _cost(found["cost"]),
        "CLIP": _clip(found["clip"], found["attention"]),
        "MESH": _mesh(found["mesh"]),
        "MEMORY OF EACH DEVICE": _memory(found["memory"]),
        "LENGTH": _length(found["length"]),
        "DATA": _data(found["data"], found["loader"]),
        "BEGINS WITH": _start(found["workdir"], found["init_from"]),
    }
    lines = [f"{found['run']['name']}, seed {found['run']['seed']}"]
    for title, section in sections.items():
        lines += ["", title, *section]
    if found["refused"]:
        lines += ["", "TRAINING WOULD REFUSE THIS:"]
        lines += [f"  - {reason['message']}" for reason in found["refused"]]
    return "\n".join(lines)


def _model(model: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{model['name']}: {model['depth']} blocks of {' + '.join(model['steps'])} + MLP "
        f"({model['scheme']}), width {model['embed_dim']}, {model['num_heads']} heads, hidden "
        f"width {model['mlp_dim']}, {model['dtype']}, remat {model['remat']}"
        + (", layers scanned" if model["scan_layers"] else "")
    )
    yield _table(((part.replace("_", " "), f"{number:,}") for part, number in
                  model["parameters"].items()), ("part", "parameters"))  # fmt: skip
    if model["classes"] is None:
        yield "How many classes there are is not known, and one is counted: see --classes."
    if model["frozen"]:
        yield f"{model['trainable']:,} are trained, {model['frozen']:,} are frozen."
    if model["groups"]:
        headers = ("group", "arrays", "weights", "learning rate ×", "weight decay ×")
        counts = ("arrays", "parameters")
        rows = (
            [f"{value:,}" if name in counts else value for name, value in row.items()]
            for row in model["groups"]
        )
        yield _table(rows, headers)


def _cost(cost: Mapping[str, Any]) -> Iterator[str]:
    digits = 2 if cost["macs_of_a_view"]["total"] > 1e9 else 5
    rows = [
        (part.replace("_", " "), f"{macs / 1e9:,.{digits}f}")
        for part, macs in cost["macs_of_a_view"].items()
    ]
    yield _table(rows, ("part, forward, one view", "GMACs"))
    yield (
        f"A video is judged over {cost['temporal_views']} × {cost['spatial_crops']} views (time × "
        f"space): {cost['macs_of_a_video'] / 1e9:,.5g} GMACs."
    )
    again = cost["flops_computed_again"]
    yield (
        f"A training clip takes {cost['train_flops_of_a_clip'] / 1e9:,.5g} GFLOPs"
        + (f", and {again / 1e9:,.5g} that remat computes again." if again else ".")
    )


def _clip(clip: Mapping[str, Any], attention: list[Mapping[str, Any]]) -> Iterator[str]:
    height, width = clip["image_size"]
    length = "one frame of each of as many equal parts of the video"
    if clip["span"] is not None:
        rate = clip["rate"] or _NO_RATE
        each = "" if clip["rate"] else " (each video's own rate counts)"
        length = (
            f"stride {clip['stride']}: {clip['span']} frames, "
            f"{clip['span'] / rate:.1f} s at {rate:g} frames a second{each}"
        )
    yield f"{clip['frames']} × {height} × {width}, {length}"
    low, high = clip["short_side"]
    yield (
        f"cropped from a shorter side of {low} to {high} pixels, {clip['eval_short_side']} when "
        "judged"
    )
    frames, rows, columns = clip["token_grid"]
    yield (
        f"{clip['patches']:,} patches ({frames} × {rows} × {columns}) and {clip['class_tokens']} "
        "class token" + ("s" if clip["class_tokens"] > 1 else "")
    )
    rows = [
        (
            step["step"],
            f"{step['groups']:,}",
            f"{step['tokens']:,}",
            *(backend or "refused" for backend in step["backends"].values()),
        )
        for step in attention
    ]
    headers = (
        "step",
        "groups",
        "tokens of a group",
        *(f"on {p}" for p in attention[0]["backends"]),
    )
    yield _table(rows, headers)


def _mesh(mesh: Mapping[str, Any]) -> Iterator[str]:
    axes = " × ".join(f"{axis} {length}" for axis, length in mesh["axes"].items())
    here = f"{mesh['devices']:,} × {mesh['kind']}, which are here"
    absent = f"{mesh['devices']:,} devices, taken for those of a {mesh['platform'].upper()} machine"
    yield f"{here if mesh['kind'] else absent}: {axes}"
    at_a_time, clips = mesh["clips_at_a_time"], mesh["clips_on_a_device"]
    shared = mesh["devices_that_share_a_clip"]
    yield (
        f"{mesh['clips_of_a_batch']:,} clips a step, {clips:,} on each device"
        + (f", {at_a_time:,} at a time" if at_a_time != clips else "")
        + (f"; {shared} devices share each clip" if shared > 1 else "")
    )
    if mesh["whole_weights"]:
        yield "Every device holds these weights whole, though the mesh could split them:"
        yield from (f"  {line}" for line in mesh["whole_weights"])


def _memory(memory: Mapping[str, int]) -> Iterator[str]:
    rows = [(name, kind, megabytes(memory[key])) for key, (name, kind) in _MEMORY.items()]
    rows.append(("all of it", "about", megabytes(memory["total"])))
    yield _table(rows, ("", "", "MB"))
    yield (
        "What is kept is that of the program as it is written. A compiler may need less, as it "
        "computes\ncheap things again, or more, as it pads: for TPUs `vidtx compile` has its word."
    )
    if memory["attention_counted_as"]:
        yield f"Attention by cuDNN is counted as by {memory['attention_counted_as']}, its like."


def _length(length: Mapping[str, Any] | None) -> Iterator[str]:
    if length is None:
        yield "not to be told; see below"
        return
    names = {
        "run": "whole run",
        "warmup": "warm-up",
        "evaluate_every": "judged every",
        "checkpoint_every": "saved every",
        "log_every": "metrics every",
    }
    rows = []
    for key, name in names.items():
        part = length[key]
        if part is None:
            rows.append((name, "at the end", "", ""))
        else:
            rows.append((name, *(_count(part[unit]) for unit in ("steps", "epochs", "examples"))))
    yield _table(rows, ("", "steps", "epochs", "clips"))
    if length["learning_rate"] is None:
        yield "Learning rates depend on the number of videos, which is not known."
        return
    rows = [
        (point["when"], _count(point["step"]), _count(point["epoch"]), f"{point['rate']:.4g}")
        for point in length["learning_rate"]
    ]
    yield _table(rows, ("learning rate", "step", "epoch", "rate"))


def _data(data: Mapping[str, Any], loader: Mapping[str, Any]) -> Iterator[str]:
    if data["status"] != "there":
        yield f"{data['name']} in {data['data_dir']}: {data['status']}"
        yield f"  {data['message']}"
    else:
        yield (
            f"{data['name']} {data['version']} in {data['data_dir']}, {data['bytes'] / 1e6:,.1f} "
            f"MB, fingerprint {data['fingerprint'][:12]}"
        )
        for use, split in (("train", "train_split"), ("judge", "eval_split")):
            number = data[split.replace("split", "examples")]
            yield f"  to {use}: split {data[split]}, {_count(number)} videos"
        for split, dropped in sorted((data["dropped"] or {}).items()):
            kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(dropped.items()) if n)
            yield f"  {split}: left out when it was built: {kinds or 'none'}"
    if data["built_by"]:
        yield f"  read from files as they are. To read faster: {data['built_by']}"
    sides = data["classes_tell_left_from_right"]
    told = "may" if sides is None else "do" if sides else "do not"
    unknown = " (not known before it is there)" if sides is None else ""
    yield (
        f"  {_count(data['classes'])} classes, "
        f"{'any number of them' if data['multi_label'] else 'one'} a video; they {told} tell left "
        f"from right{unknown}, and clips are {'mirrored' if data['flip'] else 'not mirrored'}"
    )
    yield (
        f"  loader: at most {megabytes(loader['train_bytes'])} MB of clips, and "
        f"{megabytes(loader['eval_bytes'])} MB more while the run is judged, in a process that "
        "feeds all devices; one of several holds its share"
    )


def _start(workdir: Mapping[str, Any] | None, source: Mapping[str, Any] | None) -> Iterator[str]:
    if workdir is None:
        yield "no --workdir is given"
    else:
        yield f"{workdir['directory']}: {_of_workdir(workdir)}"
        yield from (f"  {line}" for line in workdir["differences"])
        if workdir["best"]:
            best = ", ".join(f"{step} ({score:.4g})" for step, score in workdir["best"].items())
            yield f"  best states: {best}"
    if source is None:
        if workdir is None or not workdir["checkpoints"]:
            yield "new weights"
        return
    if source["checkpoint"] is None:
        yield f"{source['source']}: nothing to begin with; see below"
        return
    if source["layout"] == "Hugging Face Hub":
        yield f"weights of {source['checkpoint']}: {', '.join(source['notes'])}"
        return
    head = {
        None: "whether its head fits is not known",
        True: "with its head",
        False: "without its head",
    }
    yield (
        f"weights of {source['checkpoint']}: {source['model'] or 'a model'} "
        f"({source['scheme'] or 'no record of it'}), {_count(source['classes'])} classes of "
        f"{source['dataset'] or 'a data set'}, {head[source['head_fits']]}"
    )
    yield from source["notes"]


def _of_workdir(workdir: Mapping[str, Any]) -> str:
    step, status = workdir["step"], workdir["status"]
    if status == "new":
        return "new"
    if status == "finished":
        return f"finished, after step {step:,}"
    if status == "resume" and workdir["checkpoints"]:
        return f"would be resumed after step {step:,}"
    if status == "resume":
        return "this run, which has saved nothing yet, and begins again"
    return {"another run": "holds another run:", "not a run": "holds no run"}[status]


def megabytes(number: int) -> str:
    """Bytes in millions, as text."""
    return f"{number / 1e6:,.1f}"


def _count(number: float | None) -> str:
    if number is None:
        return "unknown"
    return f"{number:,}" if isinstance(number, int) else f"{number:,.4g}"


def _table(rows, headers) -> str:
    return "\n".join(f"  {line}" for line in format_table(rows, headers).splitlines())

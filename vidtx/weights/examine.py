"""Every key of a file accounted for, or the file refused with all that is wrong with it."""

import re
from collections.abc import Iterable, Iterator, Mapping

from vidtx.errors import CheckpointError
from vidtx.weights.files import Found
from vidtx.weights.infer import Inference
from vidtx.weights.layout import Match
from vidtx.weights.layouts import LAYOUTS
from vidtx.weights.match import parameter_shapes
from vidtx.weights.report import Entry
from vidtx.weights.stored import FLOATS

# Parts of names of variants, and what they are.
_VARIANTS = {
    r"\.ls\d|\.gamma|lambda_\d": "scaled layers",
    r"[qk]_norm": "normalised queries and keys",
    r"reg_token|register_tokens": "register tokens",
    r"fc_norm": "average pooling in the place of the class token",
    r"norm_pre|pre_layrnorm": "a norm before the blocks",
    r"attn_pool|MAPHead": "attention pooling",
    r"rel_pos|relative_position|rope": "relative positions",
    r"conv_root|gn_root|backbone|/unit\d": "a convolutional stem",
    r"lora_": "an adapter that is not merged",
    r"MlpBlock_0|MultiHeadDotProductAttention_0|(^|/)pos_embedding": "Big Vision's ViT",
    r"^decoder\.": "the decoder of pre-training",
}
_ABSENT = {
    r"cls": "has it no class token?",
    r"qkv\.bias|(query|key|value).*bias": "has it no biases in attention?",
}
_EXTRAS = {
    r".*optimizer.*|.*scheduler.*|.*scaler.*|epoch|.*step|.*best.*|.*metric.*": "of the training",
    r"cfg|config|args|hyper_?parameters": "its configuration",
    r".*ema.*": "averaged weights; the others were read",
}
_NUMBER = re.compile(r"(?<=[._/])\d+(?=[./])")
_FEW = 3  # names of several blocks that are written out
_CURE = (
    "vidtx's models are the plain ViT and TimeSformer: square patches of three channels, a class "
    "token with a position of its own, biases everywhere, MLPs 4 times as wide. Name weights of "
    "such a model; where these are, mend the file or download it again."
)


def best_match(found: Found, *, says_timesformer: bool) -> Match:
    """The layout that knows most of a file's keys.

    Args:
      found: the file.
      says_timesformer: whether it is known to be of a TimeSformer. Without time its names are those
        of timm's ViT.

    Raises:
      CheckpointError: none knows any.
    """
    matches = [layout.match(found.arrays) for layout in LAYOUTS.values()]
    best = max(matches, key=lambda match: match.score)
    if not best.names:
        raise CheckpointError(
            f"{found.path} has no weights of a layout that vidtx knows: its {len(found.arrays):,} "
            f"arrays begin with {', '.join(list(found.arrays)[:3])}. It knows "
            f"{'; '.join(layout.title for layout in LAYOUTS.values())}."
        )
    # Not by a prefix: programs that train image models write model. as well.
    of_training = found.container == "model_state"
    if best.layout is LAYOUTS["timm"] and (says_timesformer or of_training):
        return LAYOUTS["timesformer"].match(found.arrays)
    return best


def wrapped_images(match: Match) -> bool:
    """Whether an image model has the prefix of a TimeSformer's names, and may be one."""
    return match.layout is LAYOUTS["timm"] and any("model." in prefix for prefix in match.prefixes)


def check(found: Found, match: Match, inference: Inference) -> dict[str, tuple[int, ...]]:
    """Holds a file against the model that it is of.

    Returns:
      Shapes of our arrays by their names.

    Raises:
      CheckpointError: keys are unknown, absent, of another shape or type, or the model is one that
        vidtx does not have; lists everything.
    """
    if match.depth > len(found.arrays):
        raise CheckpointError(
            f"{found.path} names a block {match.depth - 1} among {len(found.arrays)} arrays: it is "
            "damaged, or no model at all. Download it again."
        )
    ours = _shapes(inference)
    known = {key for name in ours for key in _keys(match, name)}
    groups = {
        "unknown, with no place in vidtx's model": [
            key for key in found.arrays if key not in known and key not in match.dropped
        ],
        "absent": [
            name
            for our in ours
            for place, name in enumerate(match.layout.theirs(our))
            if (our, place) not in match.found
        ],
    }
    hints = (_VARIANTS, _ABSENT)
    lines = [
        line
        for (title, names), meanings in zip(groups.items(), hints, strict=True)
        for line in _listed(title, names, meanings)
    ]
    wrong = {
        **_twice(match),
        **_misshapen(found, match, ours, inference),
        **{
            key: f"is of type {found.arrays[key].dtype}, not of floating-point numbers"
            for key in found.arrays
            if key in known and found.arrays[key].dtype not in FLOATS
        },
    }
    lines += _wrong(wrong)
    problems = list(inference.problems) if ours else ["it has no blocks"]
    lines += [f"  - {problem}." for problem in problems]
    if lines:
        listing = "\n".join(lines)
        scheme = f", scheme {inference.scheme}" if inference.scheme else ""
        raise CheckpointError(
            f"{found.path}, read as {match.layout.title}{scheme}, cannot be taken:\n{listing}\n"
            f"{_CURE}"
        )
    return ours


def entries(found: Found, match: Match, ours: Iterable[str]) -> Iterator[Entry]:
    """The report of a file that `check` found nothing against."""
    for name in ours:
        form, keys = match.layout.form(name), _keys(match, name)
        types = {found.arrays[key].dtype for key in keys} - {"float32"}
        how = "; ".join(filter(None, [form.how, f"from {', '.join(sorted(types))}" * bool(types)]))
        yield Entry("resized" if form.resized else "used", name, keys, how)
    summaries = set()
    for key, drop in match.dropped.items():
        if drop.summary is None:
            yield Entry("dropped", None, (key,), drop.reason)
        elif drop.summary not in summaries:
            summaries.add(drop.summary)
            yield Entry("dropped", None, (drop.summary,), drop.reason)
    for name in found.extras:
        last = name.rpartition(".")[2].lower()
        reasons = (why for part, why in _EXTRAS.items() if re.fullmatch(part, last))
        yield Entry("dropped", None, (name,), next(reasons, "not among the model's weights"))


def _shapes(inference: Inference) -> dict[str, tuple[int, ...]]:
    """Names and shapes of our arrays; none without blocks."""
    if not inference.depth:
        return {}
    # Blocks are alike, so that one is enough to be shaped, which takes a deep model seconds.
    model = inference.tentative().create(depth=1)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, leaf in parameter_shapes(model).items():
        if name.startswith("block_0."):
            rest = name.removeprefix("block_0.")
            shapes |= {f"block_{i}.{rest}": leaf.shape for i in range(inference.depth)}
        elif inference.has_head or not name.startswith("head."):
            shapes[name] = leaf.shape
    return shapes


def _keys(match: Match, name: str) -> tuple[str, ...]:
    places = range(len(match.layout.theirs(name)))
    return tuple(key for place in places for key in match.found.get((name, place), ()))


def _twice(match: Match) -> dict[str, str]:
    return {
        keys[0]: f"is there again as {', '.join(keys[1:])}"
        for keys in match.found.values()
        if len(keys) > 1
    }


def _misshapen(
    found: Found, match: Match, ours: Mapping[str, tuple[int, ...]], inference: Inference
) -> dict[str, str]:
    heads = inference.num_heads
    wrong = {}
    for name, shape in ours.items():
        form = match.layout.form(name)
        headless = form.per_head and (not heads or inference.embed_dim % heads)
        if headless or name in inference.untold or not inference.embed_dim:
            continue  # a problem by itself
        for place, wanted in enumerate(form.shapes(shape, heads)):
            for key in match.found.get((name, place), ()):
                if found.arrays[key].shape != wanted:
                    wrong[key] = f"is {found.arrays[key].shape}; it must be {wanted}"
    return wrong


def _wrong(wrong: Mapping[str, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for key, reason in wrong.items():
        by_reason.setdefault(reason, []).append(key)
    return [f"  - {name} {reason}" for reason, keys in by_reason.items() for name in _grouped(keys)]


def _listed(title: str, names: list[str], meanings: Mapping[str, str]) -> list[str]:
    lines = [f"  {title}:"] if names else []
    for name in _grouped(names):
        hint = next((why for part, why in meanings.items() if re.search(part, name)), None)
        lines.append(f"    - {name}{f' ({hint})' if hint else ''}")
    return lines


def _grouped(names: Iterable[str]) -> Iterator[str]:
    """Names, those of many blocks in one: ``blocks.{0–11}.norm1.weight``."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_NUMBER.sub("{}", name, count=1), []).append(name)
    for template, alike in groups.items():
        if len(alike) <= _FEW:
            yield from alike
        else:
            numbers = sorted(int(_NUMBER.search(name)[0]) for name in alike)
            yield template.replace("{}", f"{{{_ranges(numbers)}}}", 1)


def _ranges(numbers: list[int]) -> str:
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("–".join(map(str, part)) for part in parts)

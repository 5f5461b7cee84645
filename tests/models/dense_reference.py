"""TimeSformer once more, dense and in NumPy float64, with gradients written out by hand.

It shares no code and no idea of grouping with vidtx: every attention step is *full* attention over
a flat sequence of class-token copies and patches, masked by comparing the indices (t, h, w) of
query and key. Written from the paper's equations and from what is known of the authors' code.
Patches are ordered (h, w, t), t fastest. Letters: B clips, M patches of a clip, G groups of the
last step (each with a copy of the class token), D width, A heads, K head width.

Every layer returns its output and a function from the gradient of its output to the gradients of
its input and of its weights. Weights are nested dicts with the names of the model's own.
"""

import math
from typing import NamedTuple

import numpy as np

# The group of a patch: patches attend to each other where these are equal.
GROUP = {
    "time": lambda t, h, w, T, H, W: (h, w),
    "space": lambda t, h, w, T, H, W: (t,),
    "joint": lambda t, h, w, T, H, W: (0,),
    "local": lambda t, h, w, T, H, W: (2 * h // H, 2 * w // W),
    "global": lambda t, h, w, T, H, W: (t % 2, h % 2, w % 2),
    "width": lambda t, h, w, T, H, W: (t, h),
    "height": lambda t, h, w, T, H, W: (t, w),
}
STEPS = {
    "space": ["space"],
    "joint": ["joint"],
    "divided": ["time", "space"],
    "sparse_local_global": ["local", "global"],
    "axial": ["time", "width", "height"],
    "divided_space_first": ["time", "space"],
    "divided_parallel": ["time", "space"],
}
# When the last step, which has the class token, is done; in all others, after the added ones.
ORDER = {"divided_space_first": "first", "divided_parallel": "beside"}


class Config(NamedTuple):
    """What the weights do not say: ``grid`` is the (T, H, W) that they were made for."""

    scheme: str
    grid: tuple[int, int, int]
    patch: int
    heads: int
    depth: int


def same_group(step, T, H, W):
    """Group number of every patch, in the order (h, w, t), and how many groups there are."""
    keys = [GROUP[step](t, h, w, T, H, W) for h in range(H) for w in range(W) for t in range(T)]
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    return np.array([numbers[key] for key in keys]), len(numbers)


def nearest(source, target):
    ratio = np.float32(source / target)
    return [min(math.floor(np.float32(i) * ratio), source - 1) for i in range(target)]


def linear(x, weights):
    def backward(dy):
        flat_x, flat_dy = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
        return dy @ weights["kernel"].T, {"kernel": flat_x.T @ flat_dy, "bias": flat_dy.sum(0)}

    return x @ weights["kernel"] + weights["bias"], backward


def layer_norm(x, weights):
    centred = x - x.mean(-1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    normal = centred * inverse

    def backward(dy):
        lead = tuple(range(x.ndim - 1))
        dn = dy * weights["scale"]
        dx = dn - dn.mean(-1, keepdims=True) - normal * (dn * normal).mean(-1, keepdims=True)
        return inverse * dx, {"scale": (dy * normal).sum(lead), "bias": dy.sum(lead)}

    return normal * weights["scale"] + weights["bias"], backward


def mlp(x, weights):
    hidden, fc1 = linear(x, weights["fc1"])
    cdf = 0.5 * (1 + np.vectorize(math.erf, otypes=[np.float64])(hidden / math.sqrt(2)))
    y, fc2 = linear(hidden * cdf, weights["fc2"])

    def backward(dy):
        dg, d_fc2 = fc2(dy)
        density = np.exp(-(hidden**2) / 2) / math.sqrt(2 * math.pi)
        dx, d_fc1 = fc1(dg * (cdf + hidden * density))
        return dx, {"fc1": d_fc1, "fc2": d_fc2}

    return y, backward


def attention(x, weights, mask, heads):
    batch, length, dim = x.shape

    def split(z):
        return z.reshape(batch, length, heads, dim // heads).transpose(0, 2, 1, 3)

    def merge(z):
        return z.transpose(0, 2, 1, 3).reshape(batch, length, dim)

    fused, qkv = linear(x, weights["qkv"])
    query, key, value = (split(z) for z in np.split(fused, 3, axis=-1))
    scale = (dim // heads) ** -0.5
    scores = np.where(mask, query @ key.swapaxes(-1, -2) * scale, -np.inf)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    y, out = linear(merge(p @ value), weights["out"])

    def backward(dy):
        da, d_out = out(dy)
        da = split(da)
        dp = da @ value.swapaxes(-1, -2)
        ds = p * (dp - (dp * p).sum(-1, keepdims=True)) * scale
        parts = [ds @ key, ds.swapaxes(-1, -2) @ query, p.swapaxes(-1, -2) @ da]
        dx, d_qkv = qkv(np.concatenate([merge(z) for z in parts], axis=-1))
        return dx, {"qkv": d_qkv, "out": d_out}

    return y, backward


def added_step(patches, weights, step, grid, heads):
    """Residual of a step before the last: patches alone, with an output layer of its own."""
    group, _ = same_group(step, *grid)
    normal, norm = layer_norm(patches, weights["norm"])
    attended, attend = attention(normal, weights["attention"], group[:, None] == group, heads)
    y, fc = linear(attended, weights["fc"])

    def backward(dy):
        da, d_fc = fc(dy)
        dn, d_attention = attend(da)
        dx, d_norm = norm(dn)
        return dx, {"norm": d_norm, "attention": d_attention, "fc": d_fc}

    return y, backward


def last_step(patches, cls, weights, step, grid, heads):
    """Residuals of the step with the class token: a copy in every group, residuals averaged."""
    group, groups = same_group(step, *grid)
    member = np.concatenate([np.arange(groups), group])
    single = cls.shape[1] == 1
    copies = np.repeat(cls, groups, axis=1) if single else cls
    normal, norm = layer_norm(np.concatenate([copies, patches], axis=1), weights["norm1"])
    y, attend = attention(normal, weights["attention"], member[:, None] == member, heads)
    class_residual = y[:, :groups].mean(1, keepdims=True) if single else y[:, :groups]

    def backward(d_patches, d_class):
        spread = np.repeat(d_class / groups, groups, axis=1) if single else d_class
        dn, d_attention = attend(np.concatenate([spread, d_patches], axis=1))
        dx, d_norm = norm(dn)
        d_copies = dx[:, :groups].sum(1, keepdims=True) if single else dx[:, :groups]
        return dx[:, groups:], d_copies, {"attention": d_attention, "norm1": d_norm}

    return y[:, groups:], class_residual, backward


def block(patches, cls, weights, scheme, grid, heads):
    *added, last = STEPS[scheme]
    order, start, backs = ORDER.get(scheme, "last"), patches, {}

    def add(patches):
        for step in added:
            residual, backs[step] = added_step(patches, weights[step], step, grid, heads)
            patches = patches + residual
        return patches

    if order == "last":
        patches = add(patches)
    residual, class_residual, last_back = last_step(patches, cls, weights, last, grid, heads)
    patches = patches + residual
    if order == "first":
        patches = add(patches)
    if order == "beside":
        patches = add(start) + residual
    tokens = np.concatenate([cls + class_residual, patches], axis=1)
    normal, norm2 = layer_norm(tokens, weights["norm2"])
    residual, perceive = mlp(normal, weights["mlp"])
    tokens, single = tokens + residual, cls.shape[1]

    def backward(d_patches, d_class):
        dy = np.concatenate([d_class, d_patches], axis=1)
        dn, d_mlp = perceive(dy)
        dx, d_norm2 = norm2(dn)
        d_class, d_patches = np.split(dy + dx, [single], axis=1)
        d_added = {}

        def add_back(d_patches):
            for step in reversed(added):
                dx, d_added[step] = backs[step](d_patches)
                d_patches = d_patches + dx
            return d_patches

        if order == "first":
            d_patches = add_back(d_patches)
        dx, d_copies, grads = last_back(d_patches, d_class)
        d_class = d_class + d_copies
        d_patches = (add_back(d_patches) if order == "beside" else d_patches) + dx
        if order == "last":
            d_patches = add_back(d_patches)
        return d_patches, d_class, grads | d_added | {"mlp": d_mlp, "norm2": d_norm2}

    return tokens[:, single:], tokens[:, :single], backward


def embed(clips, weights, config):
    """Patches [B, M, D] and class tokens [B, S, D] of clips [B, T, height, width, 3]."""
    batch, T, height, width, _ = clips.shape
    size, (T0, H0, W0) = config.patch, config.grid
    H, W = height // size, width // size
    h, w, t = (axis.ravel() for axis in np.meshgrid(range(H), range(W), range(T), indexing="ij"))
    y = h[:, None] * size + np.arange(size)
    x = w[:, None] * size + np.arange(size)
    where = (slice(None), t[:, None, None], y[:, :, None], x[:, None, :])
    kernel = weights["patch"]["kernel"]
    flat = {"kernel": kernel.reshape(-1, kernel.shape[-1]), "bias": weights["patch"]["bias"]}
    patches, project = linear(clips[where].reshape(batch, len(t), -1), flat)
    cls, slot, frame = weights["class_token"], None, None
    if "position" in weights:
        slot = 1 + np.array(nearest(H0, H))[h] * W0 + np.array(nearest(W0, W))[w]
        patches, cls = patches + weights["position"][:, slot], cls + weights["position"][:, :1]
    if "time" in weights:
        frame = np.array(nearest(T0, T))[t]
        patches = patches + weights["time"][:, frame]
    cls = np.broadcast_to(cls, (batch, T if config.scheme == "space" else 1, cls.shape[-1]))

    def backward(d_patches, d_class):
        d_pixels, d_flat = project(d_patches)
        d_clips = np.zeros_like(clips)
        d_clips[where] = d_pixels.reshape(d_clips[where].shape)
        d_token = d_class.sum((0, 1))[None, None]
        grads = {"patch": d_flat | {"kernel": d_flat["kernel"].reshape(kernel.shape)}}
        grads["class_token"] = d_token
        for name, index in (("position", slot), ("time", frame)):
            if index is not None:
                grads[name] = np.zeros_like(weights[name])
                np.add.at(grads[name][0], index, d_patches.sum(0))
        if slot is not None:
            grads["position"][:, :1] += d_token
        return grads, d_clips

    return patches, cls, (T, H, W), backward


def run(config, weights, clips):
    """Logits [B, C], and a function from their gradient to those of all weights and the clips."""
    patches, cls, grid, embed_back = embed(clips, weights["embedding"], config)
    backs = []
    for index in range(config.depth):
        name = f"block_{index}"
        patches, cls, back = block(patches, cls, weights[name], config.scheme, grid, config.heads)
        backs.append((name, back))
    normal, norm = layer_norm(cls.mean(1), weights["norm"])
    logits, head = linear(normal, weights["head"])

    def backward(d_logits):
        dn, d_head = head(d_logits)
        dx, d_norm = norm(dn)
        d_class = np.repeat(dx[:, None] / cls.shape[1], cls.shape[1], axis=1)
        d_patches, grads = np.zeros_like(patches), {"norm": d_norm, "head": d_head}
        for name, back in reversed(backs):
            d_patches, d_class, grads[name] = back(d_patches, d_class)
        grads["embedding"], d_clips = embed_back(d_patches, d_class)
        return grads, d_clips

    return logits, backward

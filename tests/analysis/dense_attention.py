"""Maps of attention once more, with the matrix over all tokens, in NumPy float64.

It knows nothing of groups: attention matrices and their gradients are those that the dense
reference of the models computes, masked and over copies of the class token, patches ordered
(h, w, t); here copies are merged, the matrices multiplied, and one row is read.
"""

import numpy as np

from tests.models import dense_reference, tiny


def _softmax(x, weights, mask, heads):
    """Attention weights [B, A, L, L] and values of what `dense_reference.attention` is given."""
    batch, length, dim = x.shape
    fused = x @ weights["qkv"]["kernel"] + weights["qkv"]["bias"]
    query, key, value = (
        part.reshape(batch, length, heads, dim // heads).transpose(0, 2, 1, 3)
        for part in np.split(fused, 3, axis=-1)
    )
    logits = query @ key.swapaxes(-1, -2) / np.sqrt(dim // heads)
    shown = np.where(mask, np.exp(logits - logits.max(-1, keepdims=True)), 0)
    return shown / shown.sum(-1, keepdims=True), value


def observed(monkeypatch, scheme, grid, tree, clips, d_logits):
    """Logits, and of each block and step {step: (weights, gradients)}, both [B, A, L, L]."""
    seen, original = [], dense_reference.attention

    def attention(x, weights, mask, heads):
        y, backward = original(x, weights, mask, heads)
        p, value = _softmax(x, weights, mask, heads)
        entry = [p, None]
        seen.append(entry)

        def observe(dy):
            batch, length, _ = dy.shape
            d_attended = dy @ weights["out"]["kernel"].T
            d_attended = d_attended.reshape(batch, length, heads, -1).transpose(0, 2, 1, 3)
            entry[1] = d_attended @ value.swapaxes(-1, -2)
            return backward(dy)

        return y, observe

    monkeypatch.setattr(dense_reference, "attention", attention)
    config = tiny.config(scheme, grid)
    logits, backward = dense_reference.run(config, tiny.float64(tree), tiny.float64(clips))
    chosen = d_logits(logits)
    backward(chosen)
    monkeypatch.setattr(dense_reference, "attention", original)

    *added, last = dense_reference.STEPS[scheme]
    order = dense_reference.ORDER.get(scheme, "last")
    names = [*added, last] if order == "last" else [last, *added]
    return logits, [
        dict(zip(names, seen[start : start + len(names)], strict=True))
        for start in range(0, len(seen), len(names))
    ]


def joint(matrix, class_tokens, patches, *, summed=False):
    """A step's matrix with each class token once, [B, S + M, S + M], class tokens first."""
    copies = matrix.shape[-1] - patches
    total = class_tokens + patches
    if not copies:  # patches alone: the class tokens look at nothing
        whole = np.zeros((len(matrix), total, total))
        whole[:, class_tokens:, class_tokens:] = matrix
        return whole
    merge = np.zeros((total, copies + patches))  # of each token, where its copies are
    merge[class_tokens:, copies:] = np.eye(patches)
    merge[:class_tokens, :copies] = 1 if class_tokens == 1 else np.eye(copies)
    rows = merge if summed else merge / merge.sum(1, keepdims=True)
    return rows @ matrix @ merge.T


def rollout_matrix(scheme, blocks, class_tokens, patches):
    """[B, S + M, S + M] through all blocks; a token's row is what it looks at."""
    eye = np.eye(class_tokens + patches)
    whole = eye[None]
    for block in blocks:
        steps = {
            step: joint(weights.mean(1), class_tokens, patches)
            for step, (weights, _) in block.items()
        }
        takes = {step: matrix.sum(-1, keepdims=True) for step, matrix in steps.items()}
        if dense_reference.ORDER.get(scheme) == "beside":
            total = eye + sum(steps.values())
            whole = total / (1 + sum(takes.values())) @ whole
            continue
        for step, matrix in steps.items():  # in the order in which they were computed
            whole = (eye + matrix) / (1 + takes[step]) @ whole
    return whole


def relevance_matrix(scheme, blocks, class_tokens, patches):
    """The same for gradient-weighted relevance."""
    eye = np.eye(class_tokens + patches)
    whole = eye[None]
    for block in blocks:
        steps = [
            joint(np.maximum(p * dp, 0).mean(1), class_tokens, patches, summed=True)
            for p, dp in block.values()
        ]
        if dense_reference.ORDER.get(scheme) == "beside":
            steps = [sum(steps)]
        for matrix in steps:
            whole = whole + matrix @ whole
    return whole


def class_row(matrix, class_tokens, grid):
    """The class token's row: maps [B, T, H, W] and what stays, [B, S]."""
    row = matrix[:, :class_tokens].mean(1)
    return to_grid(row[:, class_tokens:], grid), row[:, :class_tokens]


def to_grid(patches, grid):
    """[B, M] in the reference's order as [B, T, H, W]."""
    frames, rows, columns = grid
    return patches.reshape(-1, rows, columns, frames).transpose(0, 3, 1, 2)

"""The best and the worst judged videos of an evaluation, playing on the page."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from vidtx.reporting import _page
from vidtx.reporting.tables import percent

_GUESSES = 3
_NAMES = 5  # of the classes of one video

_KINDS = {
    "worst": ("Most confidently wrong", "Highest loss"),
    "best": ("Most confidently right", "Lowest loss"),
}


def clip_sections(evaluation: Mapping[str, Any], drawn: Mapping[str, Any] | None) -> Iterator[str]:
    """What the evaluation says of its best and worst videos, with their clips.

    Args:
      evaluation: as `vidtx.evaluation.Evaluation.to_dict` has it.
      drawn: the clips, as `vidtx.run.report_clips` has them, or None. Those of another evaluation
        are not shown.

    Yields:
      HTML, a piece at a time; nothing where no videos were kept.
    """
    if not any(evaluation.get(kind) for kind in _KINDS):
        return
    drawn = drawn if drawn and drawn.get("step") == evaluation.get("step") else {}
    clips = {(clip["kind"], clip["index"]): clip for clip in drawn.get("clips", ())}
    if any("frame_weights" in clip for clip in clips.values()):
        yield _page.paragraph(
            "Left: the middle clip of the video as the model is fed it. Right: where the model "
            "looks (attention rollout), the brighter the more; below, the weight of each frame."
        )
    if drawn.get("note"):
        yield _page.paragraph(drawn["note"])
    elif not clips:
        yield _page.paragraph("The clips of this evaluation are not drawn yet.")
    for kind, titles in _KINDS.items():
        videos = evaluation.get(kind) or ()
        yield f"<h3>{titles[bool(evaluation.get('multi_label'))]}</h3>"
        if not videos:
            yield _page.paragraph(
                "No video was judged wrong." if kind == "worst" else "No video was judged right."
            )
            continue
        cards = [_card(video, clips.get((kind, video["index"])), evaluation) for video in videos]
        yield f'<div class="clips">{"".join(cards)}</div>'


def _card(
    video: Mapping[str, Any], clip: Mapping[str, Any] | None, evaluation: Mapping[str, Any]
) -> str:
    names = evaluation["class_names"]
    labels = video["labels"]
    true = ", ".join(names[label] for label in labels[:_NAMES]) or "no class"
    true += f" + {len(labels) - _NAMES} more" if len(labels) > _NAMES else ""
    parts = [_movie(clip, true)]
    if evaluation.get("multi_label"):
        heading = f"<b>{escape(true)}</b>"
    elif video["classes"][0] == labels[0]:
        heading = f"<b>{escape(true)}</b>, rightly"
    else:
        heading = f"<b>{escape(true)}</b> taken for <b>{escape(names[video['classes'][0]])}</b>"
    rows = list(zip(video["classes"], video["probabilities"], strict=True))[:_GUESSES]
    told = {number for number, _ in rows}
    own = zip(labels, video["label_probabilities"], strict=True)
    rows += [(number, share) for number, share in own if number not in told][:_GUESSES]
    items = "".join(_guess(names[number], share, number in labels) for number, share in rows)
    parts.append(f'<figcaption><p>{heading}</p><ul class="guesses">{items}</ul>')
    parts.append(f'<p class="faint">{escape(_about(video, clip, evaluation))}</p></figcaption>')
    return f'<figure class="clip">{"".join(parts)}</figure>'


def _movie(clip: Mapping[str, Any] | None, true: str) -> str:
    if clip is None:
        return ""
    if "mp4" not in clip:
        return f'<p class="lost">{escape(clip["problem"])}</p>'
    weights = clip.get("frame_weights") or ()
    what = f"Clip of record {clip['index']}, {true}" + (", beside its attention" if weights else "")
    movie = (
        f'<video controls muted loop playsinline preload="metadata" width="{clip["width"]}" '
        f'height="{clip["height"]}" aria-label="{escape(what)}" '
        f'poster="data:image/jpeg;base64,{clip["poster"]}" '
        f'src="data:video/mp4;base64,{clip["mp4"]}"></video>'
    )
    if not weights:
        return movie
    top = max(weights) or 1.0
    bars = "".join(
        f'<i style="height:{100 * weight / top:.0f}%" '
        f'title="frame {number}: {percent(weight)}"></i>'
        for number, weight in enumerate(weights)
    )
    most = weights.index(max(weights))
    said = f"Weights of {len(weights)} frames; frame {most} has the most, {percent(max(weights))}"
    return f'{movie}<div class="weights" role="img" aria-label="{said}">{bars}</div>'


def _guess(name: str, share: float | None, true: bool) -> str:
    mark = ' class="true"' if true else ""
    sign = '<b title="true class">✓</b> ' if true else ""
    return (
        f"<li{mark}><span>{sign}{escape(name)}</span><span>{percent(share)}</span>"
        f"{_page.bar(share)}</li>"
    )


def _about(
    video: Mapping[str, Any], clip: Mapping[str, Any] | None, evaluation: Mapping[str, Any]
) -> str:
    parts: Sequence[str] = [f"record {video['index']}"]
    if clip is not None and clip.get("video_id"):
        parts = [*parts, str(clip["video_id"])]
    if evaluation.get("multi_label") and video["loss"] is not None:
        parts = [*parts, f"loss {video['loss']:.3g}"]
    if clip is not None and "frames" in clip:
        apart = clip.get("seconds_apart")
        every = f", {apart:.2g}\u00a0s apart" if apart else ""
        parts = [*parts, f"{clip['frames']} frames{every}"]
    return " · ".join(parts)

"""Packets to decoded frames, one after another: all of them, or those that are wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import av

from data_pipelines.decoding.coded import Coded
from data_pipelines.decoding.packets import BROKEN, runs

__all__ = ["all_frames", "selected_frames"]


def selected_frames(coded: Coded, wanted: Collection[int]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yields chosen frames, decoding each group of pictures that holds one up to the last of them.

    Args:
        coded: The stream; its packets are asked for in ascending order, each once.
        wanted: Numbers of frames in display order, each below the number of frames.

    Yields:
        (number, frame). A frame that the decoder drops is left out.

    Raises:
        One of ``BROKEN``: A packet is refused, or a wanted frame is damaged. Decoding from the
            beginning may still give more.
    """
    number_of = {coded.times[coded.order[number]]: number for number in wanted}
    positions = [coded.order[number] for number in wanted]
    decoder = coded.decoder

    def among(frames: Iterable[av.VideoFrame]) -> Iterator[tuple[int, av.VideoFrame]]:
        for frame in frames:
            number = number_of.get(frame.pts)
            if number is not None:
                if frame.is_corrupt:
                    raise ValueError(f"frame {number} is damaged")
                yield number, frame

    for first, last in runs(coded.times, coded.keys, positions):
        for position in range(first, last + 1):
            shown = coded.times[position] in number_of
            if not shown and coded.disposable[position]:
                continue
            decoder.skip_frame = "DEFAULT" if shown else "NONREF"
            yield from among(decoder.decode(coded.packet(position)))
        yield from among(decoder.decode(None))
        decoder.flush_buffers()


def all_frames(
    decoder: av.VideoCodecContext, packets: Iterable[av.Packet], strict: bool = False
) -> Iterator[av.VideoFrame]:
    """Yields the frames of packets up to the first that the decoder refuses.

    What it refuses before the first frame is passed over, unless ``strict``: a recording that
    begins in the middle begins with frames that lean on what is not there.

    Raises:
        One of ``BROKEN``: A packet is refused, or none was accepted.
    """
    refused, any_shown = None, False
    for packet in packets:
        try:
            frames = decoder.decode(packet)
        except BROKEN as error:
            if strict or any_shown:
                raise
            refused = error
            continue
        for frame in frames:
            any_shown = True
            yield frame
    for frame in decoder.decode(None):
        any_shown = True
        yield frame
    if refused and not any_shown:
        raise refused

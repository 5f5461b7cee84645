"""A video ready for selective decoding, by the quickest way that is certain to be exact."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import av

from data_pipelines.decoding.bitstream import OneFrameEach
from data_pipelines.decoding.mp4 import read_index
from data_pipelines.decoding.packets import demux, display_order, one_thread, opened

__all__ = ["Coded", "coded_stream", "watch_of"]


@dataclasses.dataclass(frozen=True)
class Coded:
    """A stream whose packets number its frames: what selective decoding has to know.

    Attributes:
        decoder: Set up, and fed with nothing yet.
        times: When each packet is shown, in decoding order, all different.
        keys: Positions of the packets where decoding can start, ascending.
        order: Positions of the packets that are shown, in display order.
        disposable: Whether no other frame leans on the packet's, as far as that is known without
            the decoder.
        packet: Returns the packet at a position.
    """

    decoder: av.VideoCodecContext
    times: Sequence[int]
    keys: Sequence[int]
    order: Sequence[int]
    disposable: Sequence[bool]
    packet: Callable[[int], av.Packet]


@contextlib.contextmanager
def coded_stream(data: bytes, strict: bool) -> Iterator[Coded | None]:
    """Opens a video for selective decoding.

    Args:
        data: A whole media file.
        strict: Have the decoder refuse bit errors.

    Yields:
        The stream; None where only sequential decoding is exact.

    Raises:
        UndecodableError: The bytes are no media file, or beyond the bounds.
        NoVideoStreamError: There are no moving pictures.
    """
    index = read_index(data)
    if index is not None:
        decoder = index.decoder()
        watch = watch_of(decoder)
        watch.see(index.packet(data, 0))
        if watch.certain:
            one_thread(decoder, strict)
            yield Coded(
                decoder,
                index.times.tolist(),
                index.keys.tolist(),
                index.times.argsort().tolist(),
                index.disposable(data),
                lambda position: index.packet(data, position),
            )
            return
    with opened(data, strict) as (container, stream):
        watch = watch_of(stream.codec_context)
        packets = list(demux(container, stream, len(data), watch))
        order = display_order(container, stream, packets, watch.certain)
        if order is None:
            yield None
            return
        times = [packet.pts for packet in packets]
        keys = [position for position, packet in enumerate(packets) if packet.is_keyframe]
        disposable = [False] * len(packets)  # the decoder will see
        yield Coded(stream.codec_context, times, keys, order, disposable, packets.__getitem__)


def watch_of(decoder: av.VideoCodecContext) -> OneFrameEach:
    """Returns what watches the packets that are meant for a decoder."""
    return OneFrameEach(decoder.codec.canonical_name, decoder.extradata)

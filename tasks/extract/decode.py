"""Frames of a probed video as a stream, in presentation order, whatever the file's damage."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.error import ArgumentError, DecoderNotFoundError, FFmpegError, PatchWelcomeError
from av.packet import Packet
from av.video.frame import VideoFrame

from tasks.errors import UnsupportedCodec
from tasks.extract.options import ExtractOptions
from tasks.extract.probe import Probe, check_length, check_size, open_video

_MAX_THREADS = 8  # frame threads hold a frame each; 4K at 10 bits is 25 MB
_RESET_S = 1.0  # a step back longer than this is a clock that started anew


@dataclass
class DecodeCounts:
    """What happened so far, updated while `frames` runs."""

    decoded: int = 0
    damaged: int = 0  # packets that the decoder refused
    backward: int = 0  # timestamps that did not rise
    resized: int = 0  # frames of another size than the first, left out
    interlaced: int = 0


def frames(probe: Probe, options: ExtractOptions, counts: DecodeCounts) -> Iterator[tuple[int, float, VideoFrame]]:
    """Yield (index, time_s, frame) one at a time; times start at 0 and rise strictly. Only the video track is decoded.

    The caps are checked again on what comes out of the decoder, since headers can lie.
    Raises: FrameTooLarge, FrameTooSmall, VideoTooLong, UnsupportedCodec.
    """
    name = probe.path.name
    clock = _Clock()
    size = None
    with open_video(probe.path) as container:
        stream = container.streams[probe.stream_index]
        assert isinstance(stream, av.VideoStream)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = min(_MAX_THREADS, os.cpu_count() or 1)
        # Coded sizes are padded to whole blocks, so leave some room over the cap on pixels.
        stream.codec_context.options = {"max_pixels": str(int(options.max_pixels_per_frame * 1.1) + 65536)}
        for packet in _packets(container, stream, counts):
            for frame in _decoded(packet, name, counts):
                if size is None or (frame.width, frame.height) != size:
                    check_size(name, frame.width, frame.height, options)
                    size = size or (frame.width, frame.height)
                index = counts.decoded
                counts.decoded += 1
                check_length(name, *size, counts.decoded, 0.0, options)
                time_s = clock.rise(frame.time)
                counts.backward = clock.backward
                counts.interlaced += bool(frame.interlaced_frame)
                if (frame.width, frame.height) != size:
                    counts.resized += 1
                    continue
                yield index, time_s, frame


def _packets(container: InputContainer, stream: av.VideoStream, counts: DecodeCounts) -> Iterator[Packet]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError:  # the container breaks off here; what the decoder still holds is flushed below
            counts.damaged += 1
            yield _flush(stream)
            return
        yield packet


def _flush(stream: av.VideoStream) -> Packet:
    packet = Packet()
    packet.stream = stream
    return packet


def _decoded(packet: Packet, name: str, counts: DecodeCounts) -> list:
    try:
        return packet.decode()
    except (DecoderNotFoundError, PatchWelcomeError, ArgumentError) as error:
        if counts.decoded == 0 and not isinstance(error, ArgumentError):
            raise UnsupportedCodec(f"The video in {name} can't be decoded here; convert it to H.264 first.") from error
        counts.damaged += 1
    except FFmpegError:
        counts.damaged += 1
    return []


class _Clock:
    """Timestamps made to rise strictly from 0: odd ones are moved, a clock that restarts is carried on."""

    def __init__(self) -> None:
        self.backward = 0
        self._last: float | None = None
        self._step = 1 / 30  # the last ordinary step
        self._offset = 0.0

    def rise(self, stamp: float | None) -> float:
        last = self._last
        if last is None:
            self._offset = -(stamp or 0.0)
            self._last = 0.0
            return 0.0
        time = last + self._step if stamp is None else stamp + self._offset
        if time <= last:
            self.backward += 1
            if stamp is not None and last - time > _RESET_S:
                self._offset += last + self._step - time
                time = last + self._step
            else:
                time = last + self._step / 8  # close behind, so that the next ordinary one is later still
        elif time - last < _RESET_S:
            self._step = time - last
        self._last = time
        return time

"""What is refused, from its headers, before a frame is decoded."""

import struct
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tasks import errors
from tasks.extract import decode, isobmff
from tasks.extract.options import ExtractOptions
from tasks.extract.probe import probe
from tests.extract.clips import pan, wall, write_audio, write_clip, write_repeated


@pytest.fixture
def decoding_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if the decoder is started."""

    def never(*_: object) -> None:
        raise AssertionError("decoded a file that the headers should have refused")

    monkeypatch.setattr(decode, "frames", never)


def test_an_ordinary_clip_passes(tmp_path: Path) -> None:
    clip = probe(write_clip(tmp_path / "clip.mp4", pan(30)), ExtractOptions())
    assert (clip.width, clip.height, clip.frames, clip.codec, clip.warnings) == (320, 180, 30, "h264", ())
    assert clip.duration_s == pytest.approx(1.0)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi"])
def test_frames_are_counted_in_every_container(tmp_path: Path, suffix: str) -> None:
    clip = probe(write_clip(tmp_path / f"clip.{suffix}", pan(24)), ExtractOptions())
    assert clip.frames == 24
    assert clip.duration_s == pytest.approx(24 / 30, abs=0.05)


def test_fragmented(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"}
    clip = probe(write_clip(tmp_path / "clip.mp4", pan(24), container_options=options), ExtractOptions())
    assert clip.frames == 24


@pytest.mark.usefixtures("decoding_forbidden")
class TestRefusedBeforeDecoding:
    def test_texts_that_name_other_files(self, tmp_path: Path, refused: Callable) -> None:
        write_clip(tmp_path / "private.mp4", pan(5))
        texts = {
            "concat": "ffconcat version 1.0\nfile private.mp4\n",
            "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nprivate.mp4\n#EXT-X-ENDLIST\n",
            "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
            "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
            "plain": "a text, no video\n" * 100,
        }
        for name, text in texts.items():
            path = tmp_path / f"{name}.mp4"
            path.write_text(text, encoding="utf-8")
            refused(path, errors.NotAVideo)

    def test_the_concat_text_is_a_real_threat(self, tmp_path: Path) -> None:
        write_clip(tmp_path / "private.mp4", pan(5))
        path = tmp_path / "clip.mp4"
        path.write_text("ffconcat version 1.0\nfile private.mp4\n", encoding="utf-8")
        with av.open(str(path)) as container:  # without our options FFmpeg does read the neighbour
            assert len(list(container.decode(video=0))) == 5

    @pytest.mark.parametrize("name", ["concat:private.mp4", "file,private.mp4", "-", "%03d.mp4"])
    def test_odd_names_are_only_names(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        write_clip(tmp_path / "clip.mp4", pan(5)).rename(path)
        assert probe(path, ExtractOptions()).frames == 5

    def test_audio_only(self, tmp_path: Path, refused: Callable) -> None:
        error = refused(write_audio(tmp_path / "sound.mp4"), errors.NoVideoTrack)
        assert error.slug == "no_video_track"

    @pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
    def test_a_picture(self, tmp_path: Path, refused: Callable, format_name: str) -> None:
        path = tmp_path / "clip.mp4"
        Image.fromarray(wall(90, 160)).save(path, format_name)
        refused(path, errors.NotAVideo)

    def test_nothing_at_all(self, tmp_path: Path, refused: Callable) -> None:
        path = tmp_path / "clip.mp4"
        path.write_bytes(b"")
        refused(path, errors.NotAVideo)
        path.write_bytes(bytes(100_000))
        refused(path, errors.NotAVideo)
        path.write_bytes(np.random.default_rng(0).bytes(100_000))
        refused(path, errors.NotAVideo)
        refused(tmp_path / "missing.mp4", errors.NotAVideo)

    def test_one_pixel(self, tmp_path: Path, refused: Callable) -> None:
        views = [np.full((2, 2, 3), value, np.uint8) for value in range(5)]
        refused(write_clip(tmp_path / "clip.mp4", views), errors.FrameTooSmall)

    def test_a_bomb_of_large_frames(self, tmp_path: Path, refused: Callable) -> None:
        path = write_repeated(tmp_path / "bomb.mp4", np.zeros((4320, 7680, 3), np.uint8), 300)
        start = time.monotonic()
        refused(path, errors.FrameTooLarge)
        assert time.monotonic() - start < 10

    @pytest.mark.parametrize("suffix", ["mp4", "mkv"])
    def test_a_bomb_of_many_frames(self, tmp_path: Path, refused: Callable, suffix: str) -> None:
        path = write_repeated(tmp_path / f"bomb.{suffix}", np.zeros((64, 64, 3), np.uint8), 60_000, fps=1000)
        start = time.monotonic()
        refused(path, errors.VideoTooLong)
        assert time.monotonic() - start < 10

    def test_a_bomb_of_bytes(self, tmp_path: Path, refused: Callable) -> None:
        path = write_clip(tmp_path / "clip.mp4", pan(20))
        refused(path, errors.VideoTooLong, max_decoded_bytes=10 * 320 * 180)

    def test_too_many_seconds(self, tmp_path: Path, refused: Callable) -> None:
        path = write_clip(tmp_path / "clip.mp4", pan(4), times=[0, 1, 2, 5000])
        refused(path, errors.VideoTooLong)

    def test_a_claim_of_four_billion_samples(self, tmp_path: Path, refused: Callable) -> None:
        path = write_clip(tmp_path / "clip.mp4", pan(5))
        data = bytearray(path.read_bytes())
        at = data.index(b"stsz")
        struct.pack_into(">II", data, at + 8, 10, 0xFFFF_FFF0)  # a common size, so that no table is needed
        path.write_bytes(data)
        refused(path, errors.VideoTooLong)

    def test_the_index_is_missing(self, tmp_path: Path, refused: Callable) -> None:
        path = write_clip(tmp_path / "clip.mp4", pan(60))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert refused(path, errors.TruncatedVideo).slug == "truncated_video"

    def test_most_frames_are_missing(self, tmp_path: Path, refused: Callable) -> None:
        path = write_clip(tmp_path / "clip.mp4", pan(60), container_options={"movflags": "faststart"})
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
        refused(path, errors.TruncatedVideo)

    def test_no_frames(self, tmp_path: Path, refused: Callable) -> None:
        path = tmp_path / "clip.mp4"
        with av.open(str(path), "w") as output:
            stream = output.add_stream("libx264", rate=30)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
            output.start_encoding()
        refused(path, errors.MediaError)

    def test_a_compressed_index(self, tmp_path: Path, refused: Callable) -> None:
        path = tmp_path / "clip.mov"
        path.write_bytes(
            struct.pack(">I4s4sI", 16, b"ftyp", b"qt  ", 0)
            + struct.pack(">I4s", 24, b"moov")
            + struct.pack(">I4s8x", 16, b"cmov")
        )
        refused(path, errors.NotAVideo)


def test_a_cut_off_tail_is_a_warning(tmp_path: Path, run: Callable) -> None:
    path = write_clip(tmp_path / "clip.mp4", pan(60), container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.8)])
    result = run(path)
    assert 40 < result.record.frames_kept < 55
    assert any("ends early" in warning for warning in result.record.warnings)


def test_a_cut_off_matroska_file(tmp_path: Path, run: Callable, refused: Callable) -> None:
    whole = write_clip(tmp_path / "clip.mkv", pan(60)).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) * 8 // 10])
    assert any("ends early" in warning for warning in run(path).record.warnings)
    path.write_bytes(whole[: len(whole) // 4])
    refused(path, errors.TruncatedVideo)


def test_damaged_packets_are_a_warning(tmp_path: Path, run: Callable) -> None:
    path = write_clip(tmp_path / "clip.mp4", pan(60), gop=6)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + len(data) // 3
    data[start : start + 2000] = np.random.default_rng(0).bytes(2000)
    path.write_bytes(data)
    result = run(path)
    assert result.record.frames_kept > 30


def test_headers_that_lie_about_the_size(tmp_path: Path, refused: Callable) -> None:
    path = write_repeated(tmp_path / "bomb.mp4", np.zeros((4320, 7680, 3), np.uint8), 50)
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1", data.index(b"stsd"))
    assert struct.unpack_from(">HH", data, at + 28) == (7680, 4320)
    struct.pack_into(">HH", data, at + 28, 640, 360)
    path.write_bytes(data)
    refused(path, errors.MediaError)


def test_an_unknown_codec(tmp_path: Path, refused: Callable) -> None:
    path = write_clip(tmp_path / "clip.mp4", pan(5))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    assert refused(path, errors.UnsupportedCodec).slug == "unsupported_codec"


def test_a_codec_that_is_not_for_recordings(tmp_path: Path, refused: Callable) -> None:
    path = write_clip(tmp_path / "clip.avi", pan(5), codec="rawvideo")
    refused(path, errors.UnsupportedCodec)


def test_boxes_of_an_ordinary_file(tmp_path: Path) -> None:
    boxes = isobmff.scan(write_clip(tmp_path / "clip.mp4", pan(7)))
    assert boxes is not None
    assert (boxes.has_index, boxes.fragmented, boxes.cut_short, boxes.samples) == (True, False, False, 7)
    assert isobmff.scan(write_clip(tmp_path / "clip.mkv", pan(7))) is None

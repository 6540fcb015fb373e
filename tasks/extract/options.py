"""Options of the extract step."""

from dataclasses import dataclass

from tasks.errors import BadOption


@dataclass(frozen=True, kw_only=True)
class ExtractOptions:
    """What to keep, how to write it, and what to refuse before a single frame is decoded.

    The caps let a ten-minute 4K60 clip and a 5.3K action camera through and stop bombs, whose headers cost nothing to
    write and hours to decode.
    """

    max_frames: int = 150  # never more than this many frames are written
    max_side_px: int = 1600  # long side of the written frames; smaller frames are never enlarged
    jpeg_quality: int = 95  # 1 to 100; chroma is always written at full size (4:4:4)
    min_frames: int = 3  # fewer different frames than this can't make a scene
    min_side_px: int = 64  # short side of the source below which there is nothing to match

    # Video, checked on the headers and again on what the decoder returns.
    max_pixels_per_frame: int = 26_000_000  # 5312 x 4648 (action cameras, 8:7) passes, 7680 x 4320 does not
    max_frames_in_video: int = 40_000  # eleven minutes at 60 frames a second
    max_duration_s: float = 3_600.0
    max_decoded_bytes: int = 600_000_000_000  # sum over all frames at 12 bits a pixel; eleven minutes of 4K60

    # Photos, in a folder or a zip.
    max_photos: int = 5_000
    max_photo_pixels: int = 120_000_000
    max_photo_bytes: int = 200_000_000  # one file
    max_archive_bytes: int = 20_000_000_000  # all files of a zip, unpacked
    max_archive_entries: int = 20_000
    max_archive_ratio: float = 200.0  # unpacked to packed bytes of an entry; photos are compressed already

    def __post_init__(self) -> None:
        if self.max_frames < 1:
            raise BadOption(f"The most frames to keep must be at least 1, not {self.max_frames}.")
        if self.max_side_px < 16:
            raise BadOption(f"The long side of the frames must be at least 16 pixels, not {self.max_side_px}.")
        if not 1 <= self.jpeg_quality <= 100:
            raise BadOption(f"The JPEG quality must be between 1 and 100, not {self.jpeg_quality}.")
        if self.min_frames < 1:
            raise BadOption(f"The least number of frames must be at least 1, not {self.min_frames}.")

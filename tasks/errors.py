"""Every error that splatflow raises on purpose.

    SplatflowError                      carries `slug` (stable, for programs) and a sentence (for people)
    ├── InputError                      the client's input; never retried; the sentence says what to do
    │   ├── MediaError                  the video file
    │   │   ├── NotAVideo               not_a_video         text, playlist, image, unknown container
    │   │   ├── NoVideoTrack            no_video_track      audio only
    │   │   ├── NoFrames                no_frames           a video track without a decodable frame
    │   │   ├── FrameTooSmall           frame_too_small     under the least useful size (1x1, thumbnails)
    │   │   ├── FrameTooLarge           frame_too_large     over the pixel cap (8K bombs)
    │   │   ├── VideoTooLong            video_too_long      over the cap on frames, duration or decoded bytes
    │   │   ├── TruncatedVideo          truncated_video     the file ends early or its index is missing
    │   │   └── UnsupportedCodec        unsupported_codec   no decoder in this build
    │   ├── PhotoError                  a folder or zip of photos
    │   │   ├── BadArchive              bad_archive         not a zip, encrypted, damaged
    │   │   ├── UnsafeArchive           unsafe_archive      a path that leaves the archive, a link
    │   │   ├── ArchiveTooLarge         archive_too_large   a bomb: too many files, bytes or pixels
    │   │   └── NoPhotos                no_photos           nothing in it that we can read
    │   ├── CaptureError                readable, but no scene can be made of it
    │   │   ├── TooFewFrames            too_few_frames
    │   │   ├── NoParallax              no_parallax         the camera only turned, or stood still
    │   │   ├── TooLittleOverlap        too_little_overlap  the views don't connect
    │   │   └── NoSubject               no_subject          background removal found nothing to keep
    │   ├── SourceExpired               source_expired      the upload is no longer kept
    │   ├── BadPosedInput               bad_posed_input     images/ and colmap/ don't fit each other
    │   ├── BadScene                    bad_scene           a PLY or SPZ that can't be read
    │   └── BadOption                   bad_option          an option out of range
    ├── MachineError                    this machine, not the input; may succeed elsewhere or later
    │   ├── DiskFull                    disk_full
    │   ├── OutputUnwritable            output_unwritable
    │   ├── OutOfMemory                 out_of_memory
    │   ├── DeviceUnavailable           device_unavailable  CUDA asked for and not there
    │   ├── MaskModelMissing            mask_model_missing  no model file for background removal
    │   ├── MaskModelUnusable           mask_model_unusable not ONNX, or not a segmentation model
    │   ├── MeshUnavailable             mesh_unavailable    Open3D or a system library that it needs is missing
    │   └── VideoEncoderMissing         video_encoder_missing  PyAV has no encoder for a turntable
    └── TransientError                  transient           worth trying again as it is

Anything else that escapes is a defect of ours. Slugs never change; sentences may.
"""

from typing import ClassVar


class SplatflowError(Exception):
    """Base of all errors raised on purpose: `str(error)` is one sentence for people, `error.slug` is for programs."""

    slug: ClassVar[str] = "internal"


class InputError(SplatflowError):
    """The client's input can't be used; trying again with the same input can't help."""

    slug = "bad_input"


class MediaError(InputError):
    """The video file can't be used."""

    slug = "bad_video"


class NotAVideo(MediaError):
    slug = "not_a_video"


class NoVideoTrack(MediaError):
    slug = "no_video_track"


class NoFrames(MediaError):
    slug = "no_frames"


class FrameTooSmall(MediaError):
    slug = "frame_too_small"


class FrameTooLarge(MediaError):
    slug = "frame_too_large"


class VideoTooLong(MediaError):
    slug = "video_too_long"


class TruncatedVideo(MediaError):
    slug = "truncated_video"


class UnsupportedCodec(MediaError):
    slug = "unsupported_codec"


class PhotoError(InputError):
    """The folder or zip of photos can't be used."""

    slug = "bad_photos"


class BadArchive(PhotoError):
    slug = "bad_archive"


class UnsafeArchive(PhotoError):
    slug = "unsafe_archive"


class ArchiveTooLarge(PhotoError):
    slug = "archive_too_large"


class NoPhotos(PhotoError):
    slug = "no_photos"


class CaptureError(InputError):
    """The input is readable, but no scene can be made of it."""

    slug = "bad_capture"


class TooFewFrames(CaptureError):
    slug = "too_few_frames"


class NoParallax(CaptureError):
    slug = "no_parallax"


class TooLittleOverlap(CaptureError):
    slug = "too_little_overlap"


class NoSubject(CaptureError):
    slug = "no_subject"


class SourceExpired(InputError):
    """The job's upload is no longer kept, and what was made of it isn't either."""

    slug = "source_expired"


class BadPosedInput(InputError):
    slug = "bad_posed_input"


class BadScene(InputError):
    slug = "bad_scene"


class BadOption(InputError):
    slug = "bad_option"


class MachineError(SplatflowError):
    """This machine can't do it now; the input may be fine."""

    slug = "machine"


class DiskFull(MachineError):
    slug = "disk_full"


class OutputUnwritable(MachineError):
    slug = "output_unwritable"


class OutOfMemory(MachineError):
    slug = "out_of_memory"


class DeviceUnavailable(MachineError):
    slug = "device_unavailable"


class MaskModelMissing(MachineError):
    slug = "mask_model_missing"


class MaskModelUnusable(MachineError):
    slug = "mask_model_unusable"


class MeshUnavailable(MachineError):
    slug = "mesh_unavailable"


class VideoEncoderMissing(MachineError):
    slug = "video_encoder_missing"


class TransientError(SplatflowError):
    """Worth trying again unchanged."""

    slug = "transient"

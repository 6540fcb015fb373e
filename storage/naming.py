"""The names of all objects, and the safe file names that clients see. Pure functions.

    videos/<upload>.<ext>                          an upload
    jobs/<job>/source.<ext>                        the job's own copy of it
    jobs/<job>/steps/<step>/<digest>.tar           the output of a finished step
    jobs/<job>/checkpoints/<digest>/<attempt>-<number>-<sha256>.pt
                                                   the state of a step that is not finished: the attempt's <number>-th
    jobs/<job>/results/<name>                      a result that Prefect keeps, JSON
    jobs/<job>/previews/<attempt>/<number>.jpg     a preview of an attempt
    jobs/<job>/outputs/<attempt>/<file>            what the client downloads

A job's objects all begin with `job_prefix(job)`, so that deleting the prefix leaves nothing behind. A try at a better result for a job
has its objects there too, with `shadow_attempt` in place of the attempt.
"""

import re
import unicodedata
from urllib.parse import quote
from uuid import UUID

EXTENSIONS = ("mp4", "mov", "m4v", "webm", "mkv", "avi", "zip")
FILES = {  # what can be downloaded of a job, where it has it: kind -> file and content type
    "ply": ("scene.ply", "application/octet-stream"),
    "spz": ("scene.spz", "application/octet-stream"),
    "report": ("report.json", "application/json"),
    "report_html": ("report.html", "text/html; charset=utf-8"),
    "colmap": ("colmap.zip", "application/zip"),
    "camera": ("camera.json", "application/json"),
    "glb": ("mesh.glb", "model/gltf-binary"),
    "mp4": ("turntable.mp4", "video/mp4"),
    "poster": ("poster.jpg", "image/jpeg"),
    "views": ("views.zip", "application/zip"),
}
MAX_KEY_BYTES = 1024  # what S3 allows
MAX_SEGMENT_BYTES = 255  # what file systems allow
MAX_FILE_NAME_BYTES = 180  # leaves browsers room for " (1)" and their own endings

_RESERVED_STEMS = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)", re.IGNORECASE)
_RESERVED_CHARACTERS = re.compile(r"[/\\<>:|?*\"'`]")
_CHECKPOINT = re.compile(r"(\d+)-(\d+)-([0-9a-f]{64})\.pt")
_PLAIN = re.compile(r"[A-Za-z0-9 !#$&+.^_~()\-]*")  # needs no escape in a quoted string, and no browser decodes it


class BadKey(ValueError):
    """A text that can't name an object."""


def upload_key(upload_id: UUID, extension: str) -> str:
    """Where a client's PUT goes; this is the `blob_name` of the API."""
    return checked_key(f"videos/{upload_id}.{_segment(extension)}")


def source_key(job_id: UUID, extension: str) -> str:
    """The copy of the upload that the job reads, out of reach of later PUTs."""
    return checked_key(f"{job_prefix(job_id)}source.{_segment(extension)}")


def step_key(job_id: UUID, step: str, digest: str) -> str:
    """The output of one step, named by the digest of its inputs, options and code."""
    return checked_key(f"{job_prefix(job_id)}steps/{_segment(step)}/{_segment(digest)}.tar")


def checkpoint_prefix(job_id: UUID, digest: str | None = None) -> str:
    """What the keys of a job's checkpoints begin with; with `digest`, those of one step's output."""
    prefix = f"{job_prefix(job_id)}checkpoints/"
    return prefix if digest is None else checked_prefix(f"{prefix}{_segment(digest)}/")


def checkpoint_key(job_id: UUID, digest: str, attempt: int, number: int, sha256: str) -> str:
    """The `number`-th checkpoint of an attempt at the step's output `digest`; `sha256` (hex) is of its content."""
    return checked_key(f"{checkpoint_prefix(job_id, digest)}{attempt:d}-{number:d}-{_segment(sha256)}.pt")


def checkpoint_of(key: str) -> tuple[int, int, str] | None:
    """Attempt, number and SHA-256 of a checkpoint's key; None when it is none."""
    found = _CHECKPOINT.fullmatch(key.rsplit("/", 1)[-1])
    return None if found is None else (int(found[1]), int(found[2]), found[3])


def result_prefix(job_id: UUID) -> str:
    """What the keys of a job's persisted Prefect results begin with."""
    return f"{job_prefix(job_id)}results/"


def result_key(job_id: UUID, name: str) -> str:
    """One persisted Prefect result; `name` may have several segments."""
    return checked_key(f"{result_prefix(job_id)}{name}")


def shadow_attempt(shadow_id: UUID, attempt: int) -> str:
    """What stands for the attempt in the names of a try at a better result, so that it meets no file of the job or of another try."""
    return f"{shadow_mark(shadow_id)}{attempt:d}"


def shadow_mark(shadow_id: UUID) -> str:
    """What all `shadow_attempt`s of a try begin with."""
    return f"r{shadow_id.hex[:12]}-"


def preview_key(job_id: UUID, attempt: int | str, number: int) -> str:
    """The `number`-th preview of an attempt; the attempt is a number or a `shadow_attempt`."""
    return checked_key(f"{job_prefix(job_id)}previews/{_segment(str(attempt))}/{number:d}.jpg")


def output_key(job_id: UUID, attempt: int | str, name: str) -> str:
    """One output file of an attempt, such as `scene.ply`; the attempt is a number or a `shadow_attempt`."""
    return checked_key(f"{job_prefix(job_id)}outputs/{_segment(str(attempt))}/{_segment(name)}")


def job_prefix(job_id: UUID) -> str:
    """What the keys of all objects of a job begin with."""
    return f"jobs/{job_id}/"


def normal_extension(text: str) -> str | None:
    """`.MP4` as `mp4`; None when it isn't one of `EXTENSIONS`."""
    extension = text.removeprefix(".").lower() if text.isascii() else ""
    return extension if extension in EXTENSIONS else None


def extension_of(blob_name: str) -> str:
    """The extension of an upload's key.

    Raises:
        BadKey: it has none of `EXTENSIONS`.
    """
    _, dot, ending = blob_name.rpartition(".")
    extension = normal_extension(ending) if dot else None
    if extension is None:
        raise BadKey(f"{blob_name!r} is not the name of an upload.")
    return extension


def valid_key(key: str) -> bool:
    """Whether `key` may name an object: 1 to 1024 bytes of UTF-8 in segments that are neither empty nor hidden nor over 255 bytes,
    without backslashes, control characters or lone surrogates."""
    try:
        segments = key.encode().split(b"/")
    except UnicodeEncodeError:
        return False
    return (
        0 < len(key.encode()) <= MAX_KEY_BYTES
        and all(0 < len(segment) <= MAX_SEGMENT_BYTES and not segment.startswith(b".") for segment in segments)
        and not any(character == "\\" or unicodedata.category(character) == "Cc" for character in key)
    )


def checked_key(key: str) -> str:
    """`key` itself.

    Raises:
        BadKey: it can't name an object.
    """
    if not valid_key(key):
        raise BadKey(f"{key[:80]!r} can't be the name of an object.")
    return key


def checked_prefix(prefix: str) -> str:
    """`prefix` itself: empty, or the beginning of a valid key, with or without its last slash.

    Raises:
        BadKey: no valid key begins with it.
    """
    if prefix and not valid_key(prefix.removesuffix("/")):
        raise BadKey(f"{prefix[:80]!r} can't be the beginning of an object's name.")
    return prefix


def checked_folder(prefix: str) -> str:
    """`prefix` itself, which must end with a slash, so that deleting `jobs/1/` can't reach `jobs/12/`.

    Raises:
        BadKey: it doesn't, or no valid key begins with it.
    """
    if not prefix.endswith("/"):
        raise BadKey(f"{prefix[:80]!r} must end with a slash before everything under it may be deleted.")
    return checked_prefix(prefix)


def download_name(title: str, kind_file: str) -> str:
    """The file name that a download is saved under, made from the job's title.

    Args:
        title: any text; a video's ending at its end is left out.
        kind_file: the output file, such as `scene.ply` ("My room.ply") or `report.json` ("My room-report.json").

    Returns:
        A name that every file system takes: NFC, no control, format (bidirectional marks), separator or quote characters,
        neither empty nor hidden nor reserved, at most 180 bytes of UTF-8, with the ending of `kind_file`.
    """
    stem, dot, ending = kind_file.rpartition(".")
    tail = ("" if stem == "scene" else f"-{stem}") + dot + ending
    text = unicodedata.normalize("NFC", title)
    text = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    text = _RESERVED_CHARACTERS.sub("_", text)
    base, dot, video = unicodedata.normalize("NFC", text).strip().rpartition(".")
    text = base if dot and normal_extension(video) else f"{base}{dot}{video}"
    text = " ".join(text.split()).lstrip(" .-~")
    text = text.encode()[: MAX_FILE_NAME_BYTES - len(tail.encode()) - 1].decode(errors="ignore").rstrip(" .")
    if _RESERVED_STEMS.match(text):
        text = f"_{text}"
    return (text or "scene") + tail


def content_disposition(name: str) -> str:
    """The header that makes a browser save a download as `name` (RFC 6266): an ASCII fallback, and the real name beside it where
    they differ. Any text gives a header that is one line of ASCII."""
    clean = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp"))
    folded = unicodedata.normalize("NFKD", clean)
    ascii_name = "".join(
        c if _PLAIN.fullmatch(c) else "_" for c in folded if c.isascii() or not unicodedata.combining(c)
    )
    plain = f'attachment; filename="{ascii_name}"'
    return plain if ascii_name == clean else f"{plain}; filename*=UTF-8''{quote(clean, safe='')}"


def _segment(text: str) -> str:
    if "/" in text:
        raise BadKey(f"{text[:80]!r} can't be one part of an object's name.")
    return text

"""What travels between the tasks of a run: where a step's output is, and its counts. Never the output itself."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class StepReference:
    """The output of a finished step; JSON types only, since Prefect keeps it as a JSON result.

    Attributes:
        step: name of the step.
        digest: of its inputs, options and code; what identifies the output.
        key: of the archive with the output's folder in the object store.
        bytes: size of that archive.
        record: the counts that the step returned.
        seconds: that the step took.
        peak_memory_bytes: largest resident memory of its processes.
        warnings: sentences for people.
        device: that it worked on: "cpu" or "cuda".
        sha256: of the archive; empty in references that older versions kept.
    """

    step: str
    digest: str
    key: str
    bytes: int
    record: dict[str, Any]
    seconds: float
    peak_memory_bytes: int
    warnings: tuple[str, ...] = ()
    device: str = "cpu"
    sha256: str = ""

    @property
    def objects(self) -> dict[str, int]:
        """The objects that must be there, whole, for the output to be of use: bytes by key."""
        return {self.key: self.bytes}


@dataclass(frozen=True, kw_only=True)
class ExportReference:
    """The files of a result as they lie in the object store.

    Attributes:
        digest: of the trained scene that they were made from.
        files: by kind, each `{"key": ..., "bytes": ..., "sha256": ...}`.
        preview_key: of the final preview.
        camera: `{position, lookAt, up}` that frames the scene.
        quality: what the API tells of the result's quality.
        seconds: that the step took.
        warnings: all warnings of the report.
    """

    digest: str
    files: dict[str, dict[str, Any]]
    preview_key: str
    camera: dict[str, Any]
    quality: dict[str, Any]
    seconds: float
    warnings: tuple[str, ...] = ()

    @property
    def objects(self) -> dict[str, int]:
        """The objects that must be there, whole, for the result to be of use: bytes by key."""
        return {file["key"]: file["bytes"] for file in self.files.values()}

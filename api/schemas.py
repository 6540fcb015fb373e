"""What clients send. Types are strict: no text is taken for a number, no boolean for one, no 1.0 for 1.

What clients get is in `api.answers`.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from api.errors import ApiError, bad_value
from api.text import clean_text, shown
from storage.naming import EXTENSIONS, normal_extension

CAMERA_MESSAGE = 'Invalid camera_type. Must be "orbital" or "drone".'
CameraType = Literal["orbital", "drone"]
PRIORITY_MESSAGE = 'Invalid priority. Must be "interactive" or "batch".'
PATH_MESSAGE = 'Invalid turntable path. Must be "auto", "orbit" or "sway".'
Title = Annotated[str, AfterValidator(clean_text), Field(min_length=1, max_length=255)]


def without_default(schema: dict[str, Any]) -> None:
    """For fields whose absence means something else than their default; who reads them asks for those that were set."""
    del schema["default"]


def _method(text: str) -> str:
    if text.lower() not in ("glomap", "colmap"):
        raise ValueError
    return text.lower()


def _extension(text: str) -> str:
    extension = normal_extension(text)
    if extension is None:
        raise ValueError
    return extension


def _in_any_case(words: Iterable[str]) -> str:
    """A pattern of JSON Schema, which knows no flag for it."""
    letters = ("".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in word) for word in words)
    return rf"^\.?({'|'.join(letters)})$"


class Body(BaseModel):
    """A request's body. `messages` holds the sentences that the contract gives for fields."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")
    messages: ClassVar[dict[str, str]] = {}

    @classmethod
    def read(cls, value: dict[str, Any]) -> Self:
        """The body of these fields.

        Raises:
            ApiError: 400; it names the first field that is wrong.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise cls._refusal(error.errors(include_url=False, include_input=False)[0]) from None

    @classmethod
    def _refusal(cls, error: ErrorDetails) -> ApiError:
        names = [shown(str(part)) for part in error["loc"]]
        field = ".".join(names)
        message = cls.messages.get(f"{field}:{error['type']}") or cls.messages.get(field)
        return bad_value(message or f"{field} {_complaint(error)}.", field)


class UploadRequest(Body):
    """Asks where to put a file."""

    messages = {"file_extension": "Invalid file format"}

    file_extension: Annotated[
        str,
        AfterValidator(_extension),
        Field(
            description=f"One of {', '.join(EXTENSIONS)}; a leading dot and upper case are fine.",
            examples=["mp4"],
            # For the description only: the check is `normal_extension`.
            json_schema_extra={"pattern": _in_any_case(EXTENSIONS)},
        ),
    ]


class Point(Body):
    """A point or direction, in the frame of the SPZ file: Y is up."""

    model_config = ConfigDict(extra="forbid")

    x: float
    y: float
    z: float


class CameraData(Body):
    """How a viewer first shows the scene."""

    model_config = ConfigDict(extra="forbid")

    position: Point
    lookAt: Point
    up: Point
    cameraType: CameraType = Field(
        default="drone", description="Absent: the job's camera_type.", json_schema_extra=without_default
    )


class TurntableRequest(Body):
    """A video along a path about the scene's first view."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=6.0, ge=1, le=60, description="Length of the video, which is one round.")
    side_px: int = Field(default=960, ge=160, le=1_920, description="Its longer side.")
    path: Literal["auto", "orbit", "sway"] = Field(
        default="auto",
        description="orbit: all around; sway: to and fro where the scene was filmed from; auto: an orbit where all around was filmed.",
    )


def _turntable(value: Any) -> Any:
    """True is a turntable as usual, false is none."""
    return {} if value is True else None if value is False else value


class SubmitRequest(Body):
    """Asks for a reconstruction of an uploaded file."""

    model_config = ConfigDict(extra="allow")
    messages = {
        "blob_name:missing": "No blob_name provided.",
        "blob_name:string_too_short": "No blob_name provided.",
        "reconstruction_method": 'Invalid reconstruction_method. Must be "glomap" or "colmap".',
        "apriltag_size_mm": "AprilTag size must be between 1mm and 1000mm.",
        "camera_type": CAMERA_MESSAGE,
        "priority": PRIORITY_MESSAGE,
        "turntable": "turntable must be true, false, or an object of seconds, side_px and path.",
        "turntable.path": PATH_MESSAGE,
    }

    blob_name: str = Field(
        min_length=1,
        description="As answered by generate-upload-url.",
        examples=["videos/6f1c2f0e-4a7b-4f0a-9a53-6f6f9d3a1c55.mp4"],
    )
    title: Title | None = Field(default=None, description="Absent: the base name of the blob.", examples=["My room"])
    public: bool = False
    reconstruction_method: Annotated[str, AfterValidator(_method)] = Field(
        default="glomap", description="glomap or colmap, in any case.", examples=["glomap"]
    )
    training_max_num_gaussians: int = Field(default=1_000_000, ge=1_000, le=5_000_000)
    training_num_steps: int = Field(default=25_000, ge=100, le=100_000)
    apriltag_size_mm: float | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Side of the inner white square of the AprilTags (tagStandard41h12) in the scene. Given: they set its scale.",
    )
    remove_background: bool = Field(default=False, description="Keep the subject alone.")
    mesh: bool = Field(default=False, description="Also make a mesh, to download as glb.")
    turntable: Annotated[
        TurntableRequest | None,
        BeforeValidator(_turntable, json_schema_input_type=bool | TurntableRequest | None),
    ] = Field(default=None, description="Also make a video, to download as mp4; true: with the usual options.")
    camera_type: CameraType | None = Field(default=None, description="How the viewer starts; absent: as drone.")
    max_frames: int | None = Field(default=None, ge=3, le=5_000, description="Use at most so many frames.")
    train_side_px: int | None = Field(
        default=None, ge=32, le=1_600, description="Train on images whose longer side is at most this."
    )
    priority: Literal["interactive", "batch"] = Field(
        default="interactive", description="batch: when nobody waits for it; interactive jobs go before."
    )


class UpdateRequest(Body):
    """Changes to a job. Its read-only fields may be sent along and are left as they are."""

    model_config = ConfigDict(extra="forbid")
    messages = {"camera_data.cameraType": CAMERA_MESSAGE}

    title: Title = Field(default="", examples=["Updated title"], json_schema_extra=without_default)
    public: bool = Field(default=False, json_schema_extra=without_default)
    camera_data: CameraData | None = Field(default=None, description="A whole one; null: as computed from the scene.")


def _complaint(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is required"
        case "string_type" | "string_unicode":
            return "must be a string"
        case "int_type" | "int_from_float" | "int_parsing_size":
            return "must be an integer"
        case "bool_type":
            return "must be true or false"
        case "float_type" | "finite_number":
            return "must be a finite number"
        case "greater_than_equal":
            return f"must be at least {context.get('ge')}"
        case "less_than_equal":
            return f"must be at most {context.get('le')}"
        case "string_too_short" | "string_too_long" | "too_short" | "too_long":
            return "must have 1 to 255 characters"
        case "extra_forbidden":
            return "is not a field that can be sent here"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be an object"
        case "value_error":
            return str(context.get("error", "can't be used"))
        case _:
            return "can't be used"

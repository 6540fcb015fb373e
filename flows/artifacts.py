"""What a finished run shows in the Prefect UI: its preview and its figures. No link, no key: who sees the UI may see these."""

import base64
from typing import Any

from prefect.artifacts import create_markdown_artifact

from tasks.service.reference import ExportReference
from tasks.service.run import JobRun

MAX_PREVIEW_BYTES = 400_000  # as text in Prefect's database


def show_result(run: JobRun, result: ExportReference, scale: dict[str, Any] | None = None) -> None:
    """Makes the artifacts; the job is finished already, so nothing that goes wrong here may fail it.

    Args:
        scale: what the tags say; None: none were looked for.
    """
    try:
        markdown = report_markdown(run.job.title, {**result.quality, "scale": scale}, result.files, result.warnings)
        preview = run.objects.get_bytes(result.preview_key)
        if len(preview) <= MAX_PREVIEW_BYTES:
            markdown += f"\n\n![preview](data:image/jpeg;base64,{base64.b64encode(preview).decode('ascii')})\n"
        create_markdown_artifact(
            markdown=markdown, key=f"result-{run.job_id}", description=f"Result of job {run.job_id}"
        )
    except Exception as error:
        run.log.warning("The run's artifacts could not be made: %s", error)


def report_markdown(
    title: str, quality: dict[str, Any], files: dict[str, dict[str, Any]], warnings: tuple[str, ...]
) -> str:
    """The figures of a result as Markdown; the client's title can't bring any of its own."""
    subject = quality.get("subject_psnr_db")
    rows = [
        ("Registered frames", f"{quality.get('frames_registered')} of {quality.get('frames_given')}"),
        ("Reprojection error", _number(quality.get("reprojection_error_px"), "px")),
        ("Held-out PSNR", _number(quality.get("psnr_db"), "dB")),
        ("Held-out SSIM", _number(quality.get("ssim"), "", 4)),
        *([("PSNR of the subject", _number(subject, "dB"))] if subject is not None else []),
        *([("Unit", true_size(quality["scale"]))] if quality.get("scale") else []),
        ("Gaussians", f"{quality.get('num_gaussians') or 0:,}"),
        *((f"Seconds of {step}", _number(s, "s", 1)) for step, s in (quality.get("step_seconds") or {}).items()),
        *((f"File {kind}", f"{file['bytes']:,} bytes") for kind, file in files.items()),
    ]
    lines = [f"## {escaped(title)}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows]
    lines += ["", *(f"- {escaped(text)}" for text in warnings)] if warnings else []
    return "\n".join(lines)


def true_size(scale: dict[str, Any]) -> str:
    """What the tags say, in a few words."""
    if scale.get("metres_per_unit") is None:
        return str(scale.get("status", "")).replace("_", " ")
    return f"metre, to {100 * (scale.get('relative_uncertainty') or 0.0):.2f} %"


def escaped(text: str) -> str:
    """Text that Markdown and HTML show as it is."""
    return "".join(
        f"\\{c}" if c in "\\`*_{}[]()#+-.!|~" else {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(c, c) for c in text
    )


def _number(value: float | None, unit: str, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f} {unit}".rstrip()

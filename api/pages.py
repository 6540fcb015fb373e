"""The built pages of `dashboards/web`: read once, served from memory, with the policy that browsers hold them to."""

import html
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from storage.settings import Settings

PACKAGE, FOLDER = "dashboards", ("web", "dist")
DATA_MARK = '<script id="page-data" type="application/json">null</script>'
TITLE_MARK = "<title>splatflow</title>"
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
FOREVER = "public, max-age=31536000, immutable"  # names of assets hold a digest of their content
NOT_BUILT = (
    "<!doctype html><meta charset=utf-8><title>splatflow</title><p>The pages are not built. Run <code>make setup</code> "
    "and start the service again; the API works without them."
)


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file of the bundle, and its bytes under gzip where that is smaller."""

    content: bytes
    gzipped: bytes | None
    content_type: str


@cache
def assets() -> dict[str, Asset]:
    """All files below `assets/`, by name; empty when the pages aren't built."""
    folder = files(PACKAGE).joinpath(*FOLDER, "assets")
    if not folder.is_dir():
        return {}
    found = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
    return {
        name: Asset(content=content, gzipped=found.get(f"{name}.gz"), content_type=TYPES[ending])
        for name, content in found.items()
        if (ending := f".{name.rpartition('.')[2]}") in TYPES
    }


@cache
def _template(name: str) -> str | None:
    page = files(PACKAGE).joinpath(*FOLDER, name)
    return page.read_text(encoding="utf-8") if page.is_file() else None


def page(name: str, *, title: str = "splatflow", data: dict[str, Any] | None = None) -> str:
    """A page of the bundle with its data in it.

    Args:
        name: "index.html" or "scene.html".
        title: any text.
        data: JSON types, for the page's own script to read. No browser runs it: it is in an element of another type than a script's.
    """
    template = _template(name)
    if template is None:
        return NOT_BUILT
    # "<" is the one character that could end the element or open a comment in it.
    text = json.dumps(data, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    page = template.replace(DATA_MARK, DATA_MARK.replace("null", text, 1), 1)
    return page.replace(TITLE_MARK, f"<title>{html.escape(title)}</title>", 1)


def headers(settings: Settings, *, embed: bool = False) -> dict[str, str]:
    """What goes with every page: scripts, pictures and files from here and the object store alone.

    Args:
        embed: other sites may show the page in a frame.
    """
    return {
        "Content-Security-Policy": _policy(_store_origin(settings), "*" if embed else "'none'"),
        # Links to private scenes are secrets; no other site is told where its visitors came from.
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        **({} if embed else {"X-Frame-Options": "DENY"}),
    }


@cache
def _policy(store: str, ancestors: str) -> str:
    store = f" {store}" if store else ""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "worker-src 'self' blob:",
            "style-src 'self'",
            f"img-src 'self' data: blob:{store}",
            f"media-src 'self' blob:{store}",
            f"connect-src 'self' data: blob:{store}",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {ancestors}",
        )
    )


def _store_origin(settings: Settings) -> str:
    """The origin that browsers fetch objects from; empty when that is this service itself."""
    if settings.object_store == "s3":
        endpoint = settings.s3_public_endpoint or settings.s3_endpoint
        return "{0.scheme}://{0.netloc}".format(urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}"))
    return "{0.scheme}://{0.netloc}".format(urlsplit(settings.public_url)) if settings.public_url else ""

"""AprilTags to print, for who films: a sheet like that of `splatflow tags`. No key is asked for."""

import math

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.errors import bad_value
from api.service import service_of
from tasks.errors import BadOption

router = APIRouter()

FIELDS = ("size_mm", "ids", "family", "paper")
SIZE_MM, IDS, PAPER = 95.6, "0-3", "a4"


@router.get("/tags.pdf", include_in_schema=False)
async def tags(request: Request) -> Response:
    """A PDF of tags at their true size: `size_mm`, `ids` such as 0-3, `family`, `paper` (a4 or letter)."""
    service, query = service_of(request), request.query_params
    for name in query:
        if name not in FIELDS:
            raise bad_value(f"There is no parameter of that name here; there are {', '.join(FIELDS)}.", "query")
    family = query.get("family") or service.settings.apriltag_family
    size_mm, ids, paper = _number(query.get("size_mm")), query.get("ids", IDS), query.get("paper", PAPER)

    def work() -> bytes:
        # Not before somebody asks: the patterns' library and the PDF's take a fifth of a second.
        from tasks.tags.ids import parse_ids
        from tasks.tags.pdf import tags_pdf

        return tags_pdf(size_mm, parse_ids(ids), family, paper)

    try:
        document = await service.check(work)
    except BadOption as error:
        raise bad_value(str(error), "query") from None
    headers = {"Content-Disposition": 'inline; filename="apriltags.pdf"', "Cache-Control": "public, max-age=3600"}
    return Response(document, media_type="application/pdf", headers=headers)


def _number(text: str | None) -> float:
    if text is None:
        return SIZE_MM
    try:
        return float(text)
    except ValueError:
        return math.nan  # which is out of bounds, as every other text that is no number

"""The sheet of tags that the documentation page links to."""

import pytest

from tasks.tags.pdf import tags_pdf


def test_the_sheet_is_that_of_the_command(site):
    answer = site.client.get("/tags.pdf?size_mm=60&ids=1,4-5&paper=letter")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content == tags_pdf(60.0, (1, 4, 5), "tagStandard41h12", "letter")


def test_without_a_query_it_is_the_references_size(site):
    assert site.client.get("/tags.pdf").content == tags_pdf(95.6, (0, 1, 2, 3))


def test_the_documentation_page_links_to_it(site):
    assert 'href="/tags.pdf"' in site.client.get("/docs").text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        *((f"size_mm={text}", "between 1mm and 1000mm") for text in ("0", "-1", "1001", "nan", "inf", "text", "")),
        ("size_mm=600", "paper"),
        ("ids=1,1", "given twice"),
        *((f"ids={text}", "ids") for text in ("", "x", "3-1", "0-1000", "-1", "0-" + "9" * 50)),
        ("family=tagWorld", "tagWorld"),
        ("paper=a0", "a0"),
        ("size=40", "no parameter"),
    ],
)
def test_what_cannot_be_printed_is_said(site, query, said):
    answer = site.client.get(f"/tags.pdf?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_value")
    assert said in answer.json()["error"]

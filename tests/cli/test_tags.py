"""`splatflow tags` through the command line's own grammar."""

import pytest

from cli.main import main
from tasks.tags.pdf import tags_pdf


def test_it_writes_the_document(tmp_path, capsys):
    main(["tags", "--size-mm", "95.6", "--ids", "0-3", str(tmp_path / "tags.pdf")])
    assert (tmp_path / "tags.pdf").read_bytes() == tags_pdf(95.6, range(4))
    assert "print it at 100 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--size-mm", "0"],
        ["--size-mm", "nan"],
        ["--size-mm", "wide"],
        ["--size-mm", "300"],
        ["--size-mm", "50", "--ids", "3-1"],
        ["--size-mm", "50", "--ids", "1,,2"],
        ["--size-mm", "50", "--ids", "0-100000000000"],
        ["--size-mm", "50", "--ids", "9999"],
        ["--size-mm", "50", "--family", "tag36"],
        [],
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(["tags", *arguments, str(tmp_path / "tags.pdf")])
    assert stop.value.code == 2
    assert "error [bad_option]: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())

"""`splatflow webhooks` against the API itself."""

import json

import pytest

from cli.main import main
from tests.api.site import Site
from tests.cli.test_reprocess import site

__all__ = ["site"]


def test_from_making_one_to_removing_it(site: Site, capsys: pytest.CaptureFixture[str]):
    def said(*arguments: str) -> str:
        main(["webhooks", *arguments])
        return capsys.readouterr().out

    assert said("list") == "There are no webhooks.\n"
    made = said("add", "https://receiver.example.org/hook", "--event", "job.failed")
    assert "secret  whsec_" in made
    hook = made.split()[0]
    assert said("list") == f"{hook}  on   job.failed  https://receiver.example.org/hook\n"
    assert said("deliveries", hook) == "Nothing was told to it yet.\n"
    delivery = said("test", hook).split()[0]
    assert "ping" in said("deliveries", hook)
    assert said("redeliver", hook, delivery).startswith(delivery)
    assert json.loads(said("rotate", hook, "--json"))["secret"] not in made
    assert "  off  " in said("off", hook)
    assert "It" not in said("on", hook)
    assert "The webhook was switched off." in said("deliveries", hook)
    assert said("remove", hook) == f"removed {hook}\n"
    with pytest.raises(SystemExit):
        main(["webhooks", "test", hook])
    assert "error [webhook_not_found]" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["webhooks", "add", "http://receiver.example.org/"])
    assert "error [bad_value]: url must begin with https://." in capsys.readouterr().err

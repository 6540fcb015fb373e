"""Webhooks over HTTP: what is refused, what is shown once, and who sees what."""

from uuid import UUID, uuid4

import pytest

from storage import jobs, webhook_queue, webhooks
from storage.accounts import authenticate
from storage.tables import now
from tests.api.site import Site, new_site

URL = "https://receiver.example.org/hook"
EVENTS_MESSAGE = 'events must be a list of "job.finished" and "job.failed", each once at most, and not empty.'


def made(site: Site, **fields):
    answer = site.call("POST", "webhooks/", json={"url": URL, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "url", "url is required."),
        ({"url": 1}, "url", "url must be a string."),
        ({"url": ""}, "url", "url must have 1 to 2048 characters."),
        ({"url": "https://a.example/" + "x" * 2048}, "url", "url must have 1 to 2048 characters."),
        ({"url": "http://a.example/"}, "url", "url must begin with https://."),
        (
            {"url": "https://127.0.0.1/"},
            "url",
            "url must not have a private, loopback, link-local or reserved address.",
        ),
        ({"url": URL, "events": []}, "events", EVENTS_MESSAGE),
        ({"url": URL, "events": ["job.started"]}, "events.0", EVENTS_MESSAGE),
        ({"url": URL, "events": ["job.failed", "job.failed"]}, "events", EVENTS_MESSAGE),
        ({"url": URL, "events": "job.failed"}, "events", EVENTS_MESSAGE),
        ({"url": URL, "active": 1}, "active", "active must be true or false."),
        ({"url": URL, "secret": "x"}, "secret", "secret is not a field that can be sent here."),
    ],
)
def test_what_can_not_be_is_refused(site, body, field, message):
    answer = site.call("POST", "webhooks/", json=body)
    assert (answer.status_code, answer.json()) == (400, {"error": message, "code": "bad_value", "field": field})
    changed = site.call("PATCH", f"webhooks/{made(site)['webhook_id']}/", json=body)
    assert changed.status_code == (400 if body else 200)


def test_a_webhook_from_its_making_to_its_end(site):
    hook = made(site)
    secret = hook.pop("secret")
    assert secret.startswith("whsec_")
    assert (hook["url"], hook["events"], hook["active"]) == (URL, ["job.finished", "job.failed"], True)
    path = f"webhooks/{hook['webhook_id']}/"
    assert site.call("GET", path).json() == hook, "the secret is shown once"
    listed = site.call("GET", "webhooks/")
    assert (listed.json(), listed.headers["X-Total-Count"]) == ([hook], "1")

    changed = site.call("PATCH", path, json={"events": ["job.failed"], "url": f"{URL}/2"}).json()
    assert changed == {**hook, "events": ["job.failed"], "url": f"{URL}/2"}
    rotated = site.call("POST", f"{path}rotate/").json()
    assert rotated.pop("secret") not in ("", secret)
    assert rotated == changed

    ping = site.call("POST", f"{path}test/")
    assert ping.status_code == 202
    assert (ping.json()["event"], ping.json()["job_id"], ping.json()["state"]) == ("ping", None, "waiting")
    log = site.call("GET", f"{path}deliveries/", params={"limit": 1})
    assert (log.json(), log.headers["X-Total-Count"]) == ([ping.json()], "1")

    again = f"{path}deliveries/{ping.json()['delivery_id']}/redeliver/"
    assert site.call("POST", again).status_code == 202
    assert site.call("POST", f"{path}deliveries/{uuid4()}/redeliver/").json()["code"] == "delivery_not_found"
    assert site.call("PATCH", path, json={"active": False}).json()["active"] is False
    for call in (f"{path}test/", again):
        answer = site.call("POST", call)
        assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
    (given_up,) = site.call("GET", f"{path}deliveries/").json()
    assert (given_up["state"], given_up["error"]) == ("failed", webhooks.SWITCHED_OFF)

    assert site.call("DELETE", path).status_code == 204
    assert site.call("GET", path).json() == {"error": "Webhook not found", "code": "webhook_not_found"}


def test_a_log_says_what_came_of_each(site):
    hook = made(site)["webhook_id"]
    job_id = site.submit()["job_id"]
    owner = authenticate(site.database, site.key)
    assert owner is not None
    jobs.cancel(site.database, owner.account_id, UUID(job_id))
    made_try = webhook_queue.claim(site.database, UUID(hook), now(), lease=webhook_queue.timedelta(seconds=9))
    assert made_try is not None
    outcome = webhook_queue.Outcome(status_code=500, error="It answered 500.", again_at=now())
    webhook_queue.settle(site.database, made_try, outcome, now())
    (row,) = site.call("GET", f"webhooks/{hook}/deliveries/").json()
    assert (row["event"], row["job_id"], row["state"], row["tries"]) == ("job.failed", job_id, "waiting", 1)
    assert (row["status_code"], row["error"], row["ended_at"]) == (500, "It answered 500.", None)
    assert row["next_try_at"] is not None
    assert 'splatflow_webhook_tries_total{outcome="retried"} 1.0' in site.client.get("/metrics").text
    assert site.call("DELETE", f"jobs/{job_id}/").status_code == 204
    assert site.call("GET", f"webhooks/{hook}/deliveries/").json() == []


def test_webhooks_are_nobody_elses(site):
    hook = made(site)["webhook_id"]
    ping = site.call("POST", f"webhooks/{hook}/test/").json()["delivery_id"]
    bob, reader = site.new_key("bob"), site.new_key("ann reads", account="ann", scope="read")
    for method, path in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "rotate/"),
        ("POST", "test/"),
        ("GET", "deliveries/"),
        ("POST", f"deliveries/{ping}/redeliver/"),
    ]:
        for key, identity in ((bob, hook), (site.key, "x"), (site.key, str(uuid4()))):
            answer = site.call(method, f"webhooks/{identity}/{path}", key=key)
            assert (answer.status_code, answer.json()["code"]) == (404, "webhook_not_found"), (method, path)
        if method != "GET":
            assert site.call(method, f"webhooks/{hook}/{path}", key=reader).status_code == 403
    assert site.call("GET", "webhooks/", key=bob).json() == []
    assert site.call("GET", f"webhooks/{hook}/", key=reader).status_code == 200


def test_the_operator_says_how_many_and_where_to(tmp_path, empty_database):
    site = new_site(
        tmp_path,
        empty_database,
        webhooks_per_account=1,
        webhook_allow_http=True,
        webhook_allow_private="127.0.0.0/8, ::1/128",
    )
    assert site.call("POST", "webhooks/", json={"url": "http://127.0.0.1:9000/"}).status_code == 201
    answer = site.call("POST", "webhooks/", json={"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")
    assert site.call("POST", "webhooks/", json={"url": "http://10.0.0.1/"}).status_code == 400
    site.close()


def test_no_secret_is_in_the_database(site):
    secret = made(site)["secret"]
    data = b"".join(path.read_bytes() for path in site.settings.data_folder.glob("splatflow.db*"))
    assert URL.encode() in data
    assert secret.encode() not in data
    assert secret.removeprefix("whsec_").encode() not in data

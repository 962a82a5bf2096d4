"""Signed requests for providers of which nobody has published any, made from their documentation alone.

Nothing of the application is used here: what a provider says of its construction is written down a second time, so that
a mistake in a row and the same mistake here would have to be made twice. `python -m tests.vectors.generating` writes
`generated.json`; a test compares the two.
"""

import hmac
import json
import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("generated.json")
NOW = 1_700_000_000
STAMP = str(NOW)
URL = "https://hooks.example.com/in"


class Case(NamedTuple):
    provider: str
    scheme: str
    secret: str
    headers: dict[str, str]
    body: str
    event_id: str | None = None
    event_type: str | None = None
    url: str = URL
    now: int | None = None
    tolerance: float | None = None
    content: str = "application/json"
    spoilt_url: str | None = None
    """For secrets in the URL: the same with another one."""
    confirmed_with: tuple[str, ...] = ()
    """Libraries that take it for genuine too."""


def mac(key: str | bytes, text: str, digest: str = "sha256") -> bytes:
    return hmac.new(key.encode() if isinstance(key, str) else key, text.encode(), digest).digest()


def hexed(key: str | bytes, text: str, digest: str = "sha256") -> str:
    return mac(key, text, digest).hex()


def based(key: str | bytes, text: str, digest: str = "sha256") -> str:
    return b64encode(mac(key, text, digest)).decode()


def of_body() -> Iterator[Case]:
    """Only the body is signed."""
    body = '{"id":"evt_1","type":"thing.made","status":"done"}'
    key = "a-secret"
    yield Case("smartsheet", "smartsheet", key, {"Smartsheet-Hmac-SHA256": hexed(key, body)}, body)
    yield Case("grafana", "grafana", key, {"X-Grafana-Alerting-Signature": hexed(key, body)}, body, None, "done")
    yield Case("hmac", "hmac", key, {"X-Signature": "sha256=" + hexed(key, body)}, body)
    yield Case(
        "doppler", "doppler", key, {"X-Doppler-Signature": "sha256=" + hexed(key, body)}, body, None, "thing.made"
    )
    yield Case("expo", "expo", key, {"expo-signature": "sha1=" + hexed(key, body, "sha1")}, body, "evt_1.done", "done")
    yield Case("websub", "websub", key, {"X-Hub-Signature": "sha256=" + hexed(key, body)}, body)
    entry = '{"object":"page","entry":[{"id":"1","messaging":[{"message":{"mid":"m_1"}}]}]}'
    for provider in ("messenger", "instagram"):
        signed = {"X-Hub-Signature-256": "sha256=" + hexed(key, entry)}
        yield Case(provider, "meta", key, signed, entry, "m_1", "page.messaging")
    created = '{"webhookEvent":"page_created"}'
    signed = {"X-Hub-Signature": "sha256=" + hexed(key, created), "X-Atlassian-Webhook-Identifier": "w1"}
    yield Case("confluence", "confluence", key, signed, created, "w1", "page_created")
    paid = '{"events":[{"id":"EV1","resource_type":"payments","action":"paid_out"}]}'
    yield Case(
        "gocardless", "gocardless", key, {"Webhook-Signature": hexed(key, paid)}, paid, "EV1", "payments.paid_out"
    )
    bought = '{"events":[{"id":"e1","type":"order.completed"}]}'
    yield Case("fastspring", "fastspring", key, {"X-FS-Signature": based(key, bought)}, bought, "e1", "order.completed")
    filled = '{"eventId":"t1","eventType":"FORM_RESPONSE"}'
    yield Case("tally", "tally", key, {"Tally-Signature": based(key, filled)}, filled, "t1", "FORM_RESPONSE")
    said = '{"destination":"U1","events":[{"type":"message","webhookEventId":"01H"}]}'
    yield Case("line", "line", key, {"x-line-signature": based(key, said)}, said, "01H", "message")
    order = '{"id":5}'
    signed = {"X-WC-Webhook-Signature": based(key, order), "X-WC-Webhook-Topic": "order.created"}
    signed |= {"X-WC-Webhook-Delivery-ID": "77"}
    yield Case("woocommerce", "woocommerce", key, signed, order, "77", "order.created")
    tracked = '{"type":"track","messageId":"ajs-1"}'
    yield Case("segment", "segment", key, {"X-Signature": hexed(key, tracked, "sha1")}, tracked, "ajs-1", "track")
    started = '{"event_id":9,"metadata":{"model":"time_entry","action":"created"}}'
    signed = {"x-webhook-signature-256": "sha256=" + hexed(key, started)}
    yield Case("toggl", "toggl", key, signed, started, "9", "time_entry.created")
    step = '[{"collectionType":"activities","date":"2010-03-01"}]'
    yield Case(
        "fitbit", "fitbit", key, {"X-Fitbit-Signature": based(key + "&", step, "sha1")}, step, None, "activities"
    )
    task = '{"triggerId":3,"taskId":"t","time":1700000000,"triggerName":"taskCompleted"}'
    signed = {"X-Onfleet-Signature": hexed(bytes.fromhex("00ff10"), task, "sha512")}
    yield Case("onfleet", "onfleet", "00ff10", signed, task, "3.t.1700000000", "taskCompleted")
    parcel = '{"id":"evt_2","description":"tracker.updated"}\n'
    accented = "sécret-ﬁ"
    signed = {"X-Hmac-Signature": "hmac-sha256-hex=" + hexed(unicodedata.normalize("NFKD", accented), parcel)}
    yield Case("easypost", "easypost", accented, signed, parcel, "evt_2", "tracker.updated")
    charge = '{"charge":{"id":1}}'
    signed = {"X-Recharge-Hmac-Sha256": sha256((key + charge).encode()).hexdigest(), "X-Recharge-Topic": "charge/paid"}
    yield Case("recharge", "recharge", key, signed, charge, None, "charge/paid")


def with_time() -> Iterator[Case]:
    """The time is signed with the body."""
    key = "a-secret"
    body = '{"id":"evt_1","type":"thing.made","name":"thing.made"}'
    for provider, header, form in [
        ("mux", "Mux-Signature", "t={},v1={}"),
        ("fintoc", "Fintoc-Signature", "t={},v1={}"),
    ]:
        signed = {header: form.format(STAMP, hexed(key, f"{STAMP}.{body}"))}
        yield Case(provider, provider, key, signed, body, "evt_1", "thing.made", now=NOW + 300, tolerance=300)
    nodes = '[{"type":"nodeCreated"}]'
    signed = {"Tailscale-Webhook-Signature": f"t={STAMP},v1={hexed(key, f'{STAMP}.{nodes}')}"}
    yield Case("tailscale", "tailscale", key, signed, nodes, None, "nodeCreated", now=NOW, tolerance=300)
    invited = '{"event":"invitee.created","payload":{"uri":"https://api.calendly.com/i/1"}}'
    signed = {"Calendly-Webhook-Signature": f"t={STAMP},v1={hexed(key, f'{STAMP}.{invited}')}"}
    known = ("invitee.created.https://api.calendly.com/i/1", "invitee.created")
    yield Case("calendly", "calendly", key, signed, invited, *known, now=NOW + 180, tolerance=180)
    built = '{"event":"build.finished"}'
    signed = {"X-Buildkite-Signature": f"timestamp={STAMP},signature={hexed(key, f'{STAMP}.{built}')}"}
    signed |= {"X-Buildkite-Event": "build.finished", "X-Buildkite-Request": "r1"}
    yield Case("buildkite", "buildkite", key, signed, built, "r1", "build.finished", now=NOW, tolerance=300)
    signed = {"x-timestamp": STAMP + "123", "x-signature": hexed(key, f"{STAMP}123{body}")}
    yield Case("airwallex", "airwallex", key, signed, body, "evt_1", "thing.made", now=NOW, tolerance=300)
    date = "Tue, 14 Nov 2023 22:13:20 GMT"
    sent = '{"data":[{"topic":"event:klaviyo.sent_sms"}]}'
    signed = {"Klaviyo-Timestamp": date, "Klaviyo-Signature": hexed(key, sent + date), "Klaviyo-Webhook-Id": "wh1"}
    yield Case("klaviyo", "klaviyo", key, signed, sent, "wh1", "event:klaviyo.sent_sms", now=NOW, tolerance=300)
    raw = b"0123456789abcdef0123456789abcdef"
    paid = '{"event_id":"e9","event_type":"payment.completed"}'
    signed = {"X-Webhook-Signature": f"t={STAMP}000,v1={hexed(raw, f'{STAMP}000.{sha256(paid.encode()).hexdigest()}')}"}
    signed |= {"X-Webhook-Timestamp": f"{STAMP}000"}
    known = ("e9", "payment.completed")
    yield Case("ripple", "ripple", b64encode(raw).decode(), signed, paid, *known, now=NOW, tolerance=300)
    for provider, type_ in [("replicate", None), ("dodo", "thing.made")]:
        signed = {"webhook-id": "msg_1", "webhook-timestamp": STAMP}
        signed |= {"webhook-signature": "v1," + based(raw, f"msg_1.{STAMP}.{body}")}
        secret = "whsec_" + b64encode(raw).decode()
        yield Case(provider, provider, secret, signed, body, "msg_1", type_, now=NOW, tolerance=300)
    # Polar's newer secrets are decoded, its older ones are not: the published vectors have one of these.
    known, confirmed = ("msg_1", "thing.made"), ("polar-sdk 1.0.2",)
    yield Case("polar", "polar", secret, signed, body, *known, now=NOW, tolerance=300, confirmed_with=confirmed)


def with_url() -> Iterator[Case]:
    """The URL is signed with the body."""
    key = "a-secret"
    body = '{"event_id":"e1","type":"payment.updated"}'
    signed = {"x-square-hmacsha256-signature": based(key, URL + body)}
    yield Case("square", "square", key, signed, body, "e1", "payment.updated")
    batch = '[{"eventId":1,"subscriptionId":2,"subscriptionType":"contact.creation"}]'
    millis = f"{STAMP}500"
    signed = {"X-HubSpot-Request-Timestamp": millis}
    # The URL as it came has %3A and %20, of which only the first is decoded for the signature.
    signed |= {"X-HubSpot-Signature-v3": based(key, f"POSThttps://hooks.example.com/in?a=b:c%20d{batch}{millis}")}
    url = "https://hooks.example.com/in?a=b%3Ac%20d"
    known = ("1-2", "contact.creation")
    yield Case("hubspot", "hubspot_v3", key, signed, batch, *known, url, NOW + 300, 300)


def with_form() -> Iterator[Case]:
    """The URL is signed with each field of the form."""
    key = "a-shared-key"
    form = "MessageSid=SM1&Body=gr%C3%BC%C3%9Fe+4200&From=%2B4930&MessageStatus=received"
    text = f"{URL}Bodygrüße 4200From+4930MessageSidSM1MessageStatusreceived"
    signed = {"X-Twilio-Webhooks-Signature-Settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"}
    signed |= {"X-Twilio-Signature": based(key, text)}
    confirmed = ("twilio-python 9.13.0",)
    yield Case(
        *("twilio", "twilio", key, signed, form, "SM1", "received"),
        content="application/x-www-form-urlencoded",
        confirmed_with=confirmed,
    )


def shown() -> Iterator[Case]:
    """Nothing is signed: the secret itself is shown."""
    token = "a-long-random-token"
    body = '{"id":"1","type":"t","source":"/s","token":"a-long-random-token","event":"made"}'
    for provider, scheme, header in [
        ("token", "token", "X-Webhook-Token"),
        ("zapier", "zapier", "X-Webhook-Token"),
        ("gitlab", "gitlab_token", "X-Gitlab-Token"),
        ("buildkite", "buildkite_token", "X-Buildkite-Token"),
        ("google_drive_push", "google_drive_push", "X-Goog-Channel-Token"),
    ]:
        yield Case(provider, scheme, token, {header: token}, body)
    for provider in ("bearer", "cloudevents"):
        yield Case(provider, "bearer", token, {"Authorization": f"Bearer {token}"}, body)
    hook = '{"eventId":"o1","data":{"events":[{"eventType":"user.lifecycle.create"}]}}'
    yield Case("okta", "bearer", token, {"Authorization": token}, hook, "o1", "user.lifecycle.create")
    credentials = "Basic " + b64encode(f"user:{token}".encode()).decode()
    yield Case("basic", "basic_auth", f"user:{token}", {"Authorization": credentials}, body)
    yield Case("lark", "lark", token, {}, body, None, "t")
    # The token takes part in a hash that covers the time and a nonce, and not the body.
    code = sha1("".join(sorted([token, STAMP, "n1"])).encode()).hexdigest()
    url = f"{URL}?signature={code}&timestamp={STAMP}&nonce=n1"
    message = "<xml><MsgType><![CDATA[text]]></MsgType><MsgId>1234567890</MsgId></xml>"
    yield Case("wechat", "wechat", token, {}, message, "1234567890", url=url, spoilt_url=url + "2", content="text/xml")
    for provider, scheme, name in [
        ("azure_eventgrid", "secret_url", "code"),
        ("azure_eventgrid_cloudevents", "secret_url", "code"),
        ("cloudevents", "access_token", "access_token"),
        ("brevo", "secret_url", "token"),
        ("mailchimp", "secret_url", "token"),
        ("mollie", "mollie_classic", "token"),
        ("salesforce_outbound_message", "secret_url", "token"),
        ("strava", "secret_url", "token"),
    ]:
        url = f"{URL}?{name}={token}"
        yield Case(provider, scheme, token, {}, body, url=url, spoilt_url=f"{url}x")


def spoilt(case: Case) -> Case:
    """The same, with the one thing changed that its proof speaks for."""
    if case.spoilt_url:
        return case._replace(url=case.spoilt_url)
    if case in shown():
        headers = {name: value + "x" for name, value in case.headers.items()}
        return case._replace(headers=headers, body=case.body.replace("a-long-random-token", "another"))
    return case._replace(body=case.body + " ")


def generated() -> list[dict[str, Any]]:
    """Every case and its spoilt twin, in the shape of `vectors.json`."""
    vectors = []
    for case in [*of_body(), *with_time(), *with_url(), *with_form(), *shown()]:
        for number, (each, expect) in enumerate([(case, "valid"), (spoilt(case), "invalid")], start=1):
            known = {"event_id": case.event_id, "event_type": case.event_type} if expect == "valid" else {}
            vector: dict[str, Any] = {
                "id": f"{case.provider}-{case.scheme}-generated-{number}",
                "provider": case.provider,
                "scheme": case.scheme,
                "origin": "generated",
                "secret": case.secret,
                "key": None,
                "method": "POST",
                "url": each.url,
                "headers": {"Content-Type": each.content, **each.headers},
                "body_b64": b64encode(each.body.encode()).decode(),
                "now": case.now,
                "expect": expect,
                **{name: value for name, value in known.items() if value is not None},
            }
            if case.confirmed_with:
                vector["confirmed_with"] = list(case.confirmed_with)
            if case.tolerance is not None:
                vector["tolerance_s"] = case.tolerance
            vectors.append(vector)
    return vectors


if __name__ == "__main__":
    FILE.write_text(json.dumps(generated(), indent=1, ensure_ascii=True) + "\n")

"""Errors as people and programs read them: `application/problem+json` (RFC 9457) with a code and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import uniform
from typing import Any

import orjson

from app.core.domain.errors import Fault

CONTENT_TYPE = b"application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error: its status, a title for a person, and what to do."""

    status: int
    title: str
    detail: str


def _not_genuine(title: str, detail: str) -> Problem:
    return Problem(401, title, detail)


# Every error that OpsConnect answers with, in one table; the code is what programs go by.
PROBLEMS: Mapping[str, Problem] = {
    "unknown_source": Problem(
        404, "Unknown source", "No source of this name is configured. Check the URL, or add it with 'opsconnect apply'."
    ),
    "signature_missing": Problem(
        401, "Signature missing", "This source takes signed requests only, and the signature header is absent or empty."
    ),
    "signature_mismatch": Problem(
        401,
        "Signature mismatch",
        "The signature does not fit the raw body and this source's secret. Check the secret on both sides.",
    ),
    "signature_malformed": _not_genuine(
        "Signature malformed", "The signature is not written as this provider writes it."
    ),
    "header_missing": _not_genuine("Header missing", "A header that this provider signs is absent."),
    "header_repeated": _not_genuine("Header repeated", "A header that the signature depends on stands more than once."),
    "url_unknown": _not_genuine(
        "URL unknown", "This provider signs its URL, which the operator has to state as the source's public_url."
    ),
    "timestamp_missing": _not_genuine("Timestamp missing", "The time at which it was signed is absent."),
    "timestamp_malformed": _not_genuine("Timestamp malformed", "The time at which it was signed cannot be read."),
    "timestamp_too_old": _not_genuine(
        "Timestamp too old", "It is authentic, but was signed too long ago. Sign again with the time of sending."
    ),
    "timestamp_in_the_future": _not_genuine(
        "Timestamp in the future", "It is authentic, but was signed for a time to come. Look at the sender's clock."
    ),
    "token_missing": _not_genuine("Token missing", "This source wants a token, and there is none."),
    "token_mismatch": _not_genuine("Token mismatch", "The token is none of this source's. Look at both sides."),
    "token_malformed": _not_genuine("Token malformed", "The token is not written as this provider writes it."),
    "algorithm_refused": _not_genuine("Algorithm refused", "This provider signs in another way."),
    "certificate_refused": _not_genuine("Certificate refused", "The certificate is none of this provider's."),
    "claim_mismatch": _not_genuine("Claim mismatch", "It was signed, but for somebody or something else."),
    "key_url_refused": _not_genuine("Key URL refused", "The address of the key is none of this provider's."),
    "registration_not_pending": _not_genuine(
        "No registration is pending", "The operator has to begin one: 'opsconnect sources register NAME'."
    ),
    "key_unknown": Problem(
        401, "Key unknown", "The key that this request claims to be signed with is none of the provider's."
    ),
    "invalid_lead": Problem(422, "Not a valid lead", "Correct the fields named in 'errors' and send it again."),
    "body_too_large": Problem(413, "Body too large", "The body is larger than this source takes; see 'limit_bytes'."),
    "method_not_allowed": Problem(405, "Method not allowed", "Send webhooks with a method that Allow names."),
    "client_disconnected": Problem(400, "Incomplete request", "The connection ended before the body was complete."),
    # Of the connection: answered before there is a request, and the connection ends.
    "malformed_request": Problem(400, "Malformed request", "This is not HTTP/1.1 as RFC 9112 has it."),
    "host_not_once": Problem(400, "Not one Host header", "HTTP/1.1 wants exactly one."),
    "ambiguous_length": Problem(
        400, "Ambiguous length", "Send one Content-Length in digits, or 'Transfer-Encoding: chunked', and not both."
    ),
    "header_too_slow": Problem(408, "Header too slow", "The request's header did not arrive in time."),
    "body_too_slow": Problem(408, "Body too slow", "The request's body did not arrive in time."),
    "content_too_large": Problem(413, "Content too large", "No source takes a body of the length that was declared."),
    "url_too_long": Problem(414, "URL too long", "Send a shorter one."),
    "headers_too_large": Problem(431, "Headers too large", "Send fewer or shorter headers."),
    "unknown_method": Problem(501, "Unknown method", "Webhooks are sent with POST."),
    "unknown_transfer_encoding": Problem(
        501, "Unknown transfer encoding", "Send a Content-Length, or 'Transfer-Encoding: chunked' and nothing else."
    ),
    "unsupported_version": Problem(505, "Unsupported version of HTTP", "Speak HTTP/1.1."),
    "unavailable": Problem(
        503, "Not kept, try again", "The event could not be kept now. Send it again after the time in Retry-After."
    ),
    "outcome_unknown": Problem(
        503,
        "Perhaps kept, try again",
        "The event may or may not have been kept. Send it again after the time in Retry-After: it is kept only once.",
    ),
    "rate_limited": Problem(
        429, "Too many at once", "This source is over its limit. Send it again after the time in Retry-After."
    ),
    "overloaded": Problem(
        503, "Too much at once", "More webhooks came than can be kept now. Send it again after the time in Retry-After."
    ),
    "busy": Problem(503, "Too many requests at once", "Ask again after the time in Retry-After."),
    "unauthorized": Problem(
        401, "No valid key", "Send 'Authorization: Bearer KEY' with an API key that is neither revoked nor expired."
    ),
    "insufficient_scope": Problem(403, "Scope too small", "Use a key with the scope that 'needed_scope' names."),
    "not_found": Problem(404, "Not found", "There is nothing at this address. /docs lists what there is."),
    "unknown_event": Problem(404, "Unknown event", "No event has this id. GET /api/v1/events lists those that exist."),
    "unknown_refusal": Problem(
        404, "Unknown refusal", "No refusal has this id. GET /api/v1/refusals lists those that are kept."
    ),
    "unknown_key": Problem(404, "Unknown key", "No API key has this id. GET /api/v1/keys lists those that exist."),
    "unknown_provider": Problem(
        404, "Unknown provider", "The catalogue has no provider of this name. GET /api/v1/providers lists them."
    ),
    "body_not_kept": Problem(404, "Body not kept", "The request was refused before its body was read."),
    "still_refused": Problem(409, "Still refused", "Correct what 'reason' and 'detail' say, then release it again."),
    "unknown_job": Problem(404, "Unknown job", "No job has this id. GET /api/v1/jobs lists those that exist."),
    "job_running": Problem(409, "The job is running", "A worker has it just now. Wait until this execution has ended."),
    "illegal_move": Problem(
        409, "Not in this state", "A job in this state cannot do that; 'possible' says what it can."
    ),
    "unsupported_media_type": Problem(415, "Not JSON", "Send a JSON object, with 'Content-Type: application/json'."),
    "invalid_request": Problem(422, "Invalid request", "Correct what 'errors' names."),
    "invalid_cursor": Problem(
        422, "Invalid cursor", "Pass 'next_cursor' of the page before as it is, or leave it out to start anew."
    ),
    "internal_error": Problem(500, "Internal error", "This is a defect of OpsConnect; the log has its trace."),
}


def body_of(code: str, *, detail: str | None = None, faults: Sequence[Fault] = (), **more: Any) -> tuple[int, bytes]:
    """Give status and body of a problem."""
    problem = PROBLEMS[code]
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "code": code,
        "detail": detail or problem.detail,
        **more,
    }
    if faults:
        content["errors"] = [{"field": fault.where, "message": fault.message} for fault in faults]
    return problem.status, orjson.dumps(content)


def retry_after() -> bytes:
    """Spread those who come back: whole seconds, from one to five."""
    return str(round(uniform(1, 5))).encode()  # noqa: S311 (no secret)

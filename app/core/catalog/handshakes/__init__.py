"""The questions that providers ask before, between and after their events, and the answers that they want.

Each is a pure function of the request and the source's credentials, and answers alike each time: providers repeat
their challenges for as long as a webhook lives. The query is read from the request's URL.
"""

from collections.abc import Mapping

from app.core.catalog.handshakes import computed, echoes, posted_challenges, prescribed
from app.core.catalog.handshakes.answers import Handshake, HandshakeAnswer
from app.core.catalog.handshakes.configured import credentials_of_challenge
from app.core.catalog.proof import Credentials, SignedRequest

__all__ = ["HANDSHAKES", "HandshakeAnswer", "answer", "credentials_of_challenge"]

HANDSHAKES: Mapping[str, tuple[Handshake, ...]] = {
    "adyen": (prescribed.adyen,),
    "asana": (echoes.asana,),
    "aws_sns": (posted_challenges.sns,),
    "azure_eventgrid": (posted_challenges.event_grid, echoes.cloudevents),
    "azure_eventgrid_cloudevents": (echoes.cloudevents,),
    "braintree": (computed.braintree,),
    "cloudevents": (echoes.cloudevents,),
    "discord": (posted_challenges.discord,),
    "dropbox": (echoes.challenge,),
    "ebay": (computed.ebay,),
    "fitbit": (computed.fitbit,),
    "github": (prescribed.github,),
    "google_drive_push": (posted_challenges.drive,),
    "instagram": (echoes.meta,),
    "lark": (posted_challenges.lark,),
    "line": (posted_challenges.empty_events,),
    "linkedin": (computed.linkedin,),
    "mailchimp": (posted_challenges.alive,),
    "mandrill": (posted_challenges.mandrill,),
    "messenger": (echoes.meta,),
    "meta": (echoes.meta,),
    "monday": (posted_challenges.monday,),
    "msgraph": (echoes.graph,),
    "msteams": (prescribed.teams,),
    "notion": (posted_challenges.notion,),
    "nylas": (echoes.challenge,),
    "okta": (echoes.okta,),
    "onfleet": (echoes.onfleet,),
    "salesforce_outbound_message": (prescribed.salesforce,),
    "slack": (posted_challenges.slack,),
    "smartsheet": (echoes.smartsheet,),
    "strava": (echoes.strava,),
    "toggl": (posted_challenges.toggl,),
    "trello": (posted_challenges.alive,),
    "twilio": (prescribed.twilio,),
    "twitch": (posted_challenges.twitch,),
    "websub": (echoes.websub,),
    "wechat": (echoes.wechat,),
    "whatsapp": (echoes.meta,),
    "x": (computed.x,),
    "xero": (posted_challenges.empty_events,),
    "zoom": (computed.zoom,),
}


def answer(
    provider: str, request: SignedRequest, credentials: Credentials, now: float | None
) -> HandshakeAnswer | None:
    """Answer a challenge of the provider; None: the request is none.

    Of several secrets the first one answers: after a signature, the caller puts the one that matched first.
    """
    for handshake in HANDSHAKES.get(provider, ()):
        given = handshake(request, credentials, now)
        if given is not None:
            return given
    return None

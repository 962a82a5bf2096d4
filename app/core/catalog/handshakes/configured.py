"""What a challenge is configured with, in the provider's own words, as credentials."""

from collections.abc import Mapping
from typing import Any

from app.core.catalog.proof import Credentials

# Words for what also proves events genuine.
SECRETS = frozenset(
    {
        *("secret", "client_secret", "signing_secret", "app_secret", "consumer_secret", "channel_secret"),
        *("signing_key", "private_key", "token", "security_token", "secret_token", "channel_token", "auth_token"),
        *("authorization", "client_state", "webhook_key", "hmac_key", "verifier_token", "cert_pem", "shared_secret"),
    }
)
# Words that are a secret of one provider, and something else at another.
SECRETS_OF = {"discord": {"public_key"}, "lark": {"verification_token"}, "paypal": set()}
SETTINGS_OF = {"paypal": {"cert_pem"}}


def credentials_of_challenge(provider: str, config: Mapping[str, Any]) -> Credentials:
    """Sort the words of a provider's configuration into secrets and settings; a list is written with blanks between."""
    secret_words = (SECRETS | SECRETS_OF.get(provider, set())) - SETTINGS_OF.get(provider, set())
    secrets: list[bytes] = []
    settings: dict[str, str] = {}
    for word, value in config.items():
        if value is None:
            continue
        texts = [str(each) for each in value] if isinstance(value, list) else [str(value)]
        if word in secret_words:
            secrets += (text.encode() for text in texts)
        else:
            settings[word] = " ".join(texts)
    return Credentials(tuple(secrets), settings)

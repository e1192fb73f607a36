"""The signing key of a store's servers: made once, the same for all of them. Knows nothing of what is signed."""

import hashlib
import hmac
import secrets

from orchestrator.database import Connection
from orchestrator.lifecycle.kept import Kept, Values

#: No project's name: the key is the store's.
_EVERYWHERE = "*"
_TOPIC = "signing"
_KEY = "key"


def signing_key(connection: Connection, purpose: str) -> bytes:
    """32 bytes that nobody can tell who cannot read the store; another for each purpose.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
        purpose: what is signed with it: a signature for one purpose is worth nothing for another.
    """

    def make(there: Values) -> Values:
        return there or {_KEY: {"hex": secrets.token_hex(32)}}

    whole = bytes.fromhex(Kept(connection, _EVERYWHERE).change(_TOPIC, make)[_KEY]["hex"])
    return hmac.new(whole, purpose.encode(), hashlib.sha256).digest()

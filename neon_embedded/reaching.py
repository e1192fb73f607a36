"""What is behind the gate of an endpoint: its compute, awake, and the verifiers of its roles. Opens no port."""

import socket

from neon_embedded.authority import Authority, Credential
from neon_embedded.computes import listen_addresses, postmaster_of, wake
from neon_embedded.errors import EndpointGone
from neon_embedded.gates import Compute
from neon_embedded.plane import Plane
from neon_embedded.postmaster import LOOPBACK
from neon_embedded.rows import BranchRow, EndpointRow

_VERIFIER = "select rolpassword from pg_authid where rolname = %s and rolcanlogin"
_CONNECT_SECONDS = 60.0


def compute_behind(plane: Plane, authority: Authority, endpoint_id: str) -> Compute:
    """The means to reach the endpoint's compute; each looks at the rows anew."""

    def rows() -> tuple[EndpointRow, BranchRow]:
        endpoint = plane.store.one(EndpointRow, id=endpoint_id)
        branch = plane.store.one(BranchRow, id=endpoint.branch_id) if endpoint else None
        if endpoint is None or branch is None:
            raise EndpointGone(f"endpoint {endpoint_id} is gone")
        return endpoint, branch

    def connect() -> socket.socket:
        endpoint, branch = rows()
        if postmaster_of(plane, branch).pid() is None:
            wake(plane, endpoint_id, strict=False)
            endpoint, _ = rows()
        return socket.create_connection((LOOPBACK, endpoint.port), timeout=_CONNECT_SECONDS)

    def verifier(role: str) -> str | None:
        with postmaster_of(plane, rows()[1]).superuser() as connection:
            row = connection.execute(_VERIFIER, (role,)).fetchone()
            return row[0] if row else None

    def credential() -> Credential:
        return authority.credential(listen_addresses(rows()[0].settings))

    return Compute(connect=connect, verifier=verifier, credential=credential)

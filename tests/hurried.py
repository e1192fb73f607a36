"""A transport that gives up soon on chosen requests only: others are waited for, however late the machine answers."""

from collections.abc import Callable

import httpx

#: Long enough to send a request, which nobody answers in time.
SOON_SECONDS = 0.2


class Hurried(httpx.HTTPTransport):
    """Asks before each request whether it is one that is given up soon."""

    def __init__(self, soon: Callable[[], bool]) -> None:
        super().__init__()
        self._soon = soon

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._soon():
            request.extensions["timeout"]["read"] = SOON_SECONDS
        return super().handle_request(request)

"""The pages, hung into a server's application. Holds none of them."""

from fastapi import APIRouter, FastAPI

from orchestrator.api.site import Site
from orchestrator.dashboard import doing, entering, looking, sharing, watching
from orchestrator.dashboard.at_site import SiteDesk, place_of
from orchestrator.dashboard.frame import Frame
from orchestrator.dashboard.pictures import Pictures
from orchestrator.lifecycle import Store

#: Watching, sharing and looking before doing: `/previews/{name}/live` is no verb.
ROUTERS: tuple[APIRouter, ...] = (
    entering.router,
    watching.router,
    sharing.router,
    looking.router,
    doing.router,
)


def session_key(store: Store) -> bytes:
    """What sessions and tickets are signed with, on every server of a store."""
    return store.signing_key("dashboard")


class Mounted:
    """The pages of a running server.

    Args:
        app: the application, made with ROUTERS.
        site: the server's doors.
        host, port: where it was told to listen.
    """

    def __init__(self, app: FastAPI, site: Site, *, host: str, port: int) -> None:
        self._site = site
        self._host = host
        self._desk = SiteDesk(site, place_of(site.settings, host=host, port=port))
        with site.store("server") as store:
            key = session_key(store)
        self._pictures = Pictures(None if site.settings.dashboard.pictures else "")
        self._pictures.begin()
        self._frame = app.state.dashboard = Frame(self._desk, key=key, pictures=self._pictures)

    def close(self) -> None:
        """End what runs beside the pages."""
        self._pictures.close()

    def listens(self, port: int) -> str:
        """The port that it got; the address with which a person comes in: on a laptop it is good once."""
        self._desk.place = place_of(self._site.settings, host=self._host, port=port)
        place = self._desk.place
        return (
            f"{place.origin}/enter?ticket={self._frame.sessions.ticket()}"
            if place.local
            else f"{place.origin}/"
        )

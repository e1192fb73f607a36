"""The server's ASGI application, put together from routers. Opens no port."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from orchestrator.api import health, jobs, metrics, previews, promotions, shares, tokens
from orchestrator.api.answers import answer_errors
from orchestrator.api.bell import Bell
from orchestrator.api.guardrails import Guardrails
from orchestrator.api.site import Site

#: All routes that clients may rely on begin so.
PREFIX = "/api/v1"


def make_app(site: Site, *, routers: Iterable[APIRouter] = ()) -> FastAPI:
    """The application.

    Args:
        site: what the routes work with.
        routers: of rooms above this one: pages, the gate.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        app.state.bell.start(asyncio.get_running_loop())
        yield
        app.state.bell.stop()

    app = FastAPI(
        title="preview",
        version=version("preview-orchestrator"),
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        lifespan=life,
    )
    app.state.site = site
    app.state.bell = Bell(site.uri)
    answer_errors(app)
    app.include_router(health.router)
    app.include_router(metrics.router)
    for router in (tokens.router, previews.router, promotions.router, shares.router, jobs.router):
        app.include_router(router, prefix=PREFIX)
    for router in routers:
        app.include_router(router)
    settings = site.settings.server

    def most(method: str, path: str) -> int:
        upload = method == "PUT" and path.startswith(f"{PREFIX}/contexts/")
        return settings.upload_bytes if upload else settings.request_bytes

    app.add_middleware(Guardrails, most=most)
    return app

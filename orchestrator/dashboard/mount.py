"""The pages, hung into the server's application. Holds none of them."""

from fastapi import APIRouter

from orchestrator.dashboard import doing, entering, looking, watching

#: Watching before looking and doing: `/previews/{name}/live` is no verb.
ROUTERS: tuple[APIRouter, ...] = (entering.router, watching.router, looking.router, doing.router)

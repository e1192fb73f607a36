"""Prometheus metrics, counted from the store: the same at every server, and nothing is lost with a process."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from orchestrator.access import Audit, Role
from orchestrator.api.callers import Doors, address_of, admit
from orchestrator.api.site import Site
from orchestrator.database import LOOPBACK, Connection
from orchestrator.jobs.queue import workers_alive

router = APIRouter(tags=["health"])

#: Upper ends of the steps' buckets, in seconds.
_ENDS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
#: What a gateway adds: whoever comes by one is not on this machine.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, site: Doors) -> PlainTextResponse:
    """For Prometheus: from this machine itself, or with an admin's token."""
    near = address_of(request) in LOOPBACK and not any(name in request.headers for name in _FORWARDED)
    if not near:
        shown = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        admit(request, site, shown or None, Role.ADMIN)
    registry = CollectorRegistry()
    with site.store("server") as store:
        registry.register(_Counted(site, store.connection))
        text = generate_latest(registry).decode()
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


class _Counted:
    """What can be counted in the store."""

    def __init__(self, site: Site, connection: Connection) -> None:
        self._project = site.project
        self._connection = connection

    def collect(self) -> Iterator[Any]:
        """See prometheus_client."""
        previews = GaugeMetricFamily("preview_previews", "Live previews by state.", labels=["state"])
        for state, count in self._rows(
            "select state, count(*) from preview_control.preview where project = %s and state <> 'closed' group by 1"
        ):
            previews.add_metric([state], count)
        yield previews
        yield from self._steps()
        jobs = GaugeMetricFamily(
            "preview_jobs", "Jobs that are kept, by act and state.", labels=["act", "state"]
        )
        for act, state, count in self._rows(
            "select act, state, count(*) from preview_control.job where project = %s group by 1, 2"
        ):
            jobs.add_metric([act, state], count)
        yield jobs
        waits = GaugeMetricFamily(
            "preview_job_oldest_wait_seconds", "How long the oldest job waits that nobody has begun."
        )
        for (seconds,) in self._rows(
            "select coalesce(extract(epoch from max(now() - created_at)), 0) from preview_control.job "
            "where project = %s and state = 'waiting'"
        ):
            waits.add_metric([], float(seconds))
        yield waits
        again = CounterMetricFamily(
            "preview_jobs_taken_up_again", "Jobs whose worker died, of those that are kept."
        )
        for (count,) in self._rows(
            "select coalesce(sum(greatest(attempts - 1, 0)), 0) from preview_control.job where project = %s"
        ):
            again.add_metric([], float(count))
        yield again
        leases = GaugeMetricFamily("preview_leases_held", "Previews that somebody works on.")
        for (count,) in self._rows(
            "select count(*) from preview_control.preview where project = %s and lease is not null"
        ):
            leases.add_metric([], count)
        yield leases
        workers = GaugeMetricFamily("preview_workers", "Workers that said lately that they live.")
        workers.add_metric([], workers_alive(self._connection))
        yield workers
        refused = CounterMetricFamily(
            "preview_requests_refused", "Requests that the audit tells were refused."
        )
        refused.add_metric([], float(Audit(self._connection).refused()))
        yield refused

    def _steps(self) -> Iterator[Any]:
        counts = ", ".join(f"count(*) filter (where e.milliseconds <= {end * 1000})" for end in _ENDS)
        steps = HistogramMetricFamily(
            "preview_step_seconds",
            "How long steps took, by the state that they led to.",
            labels=["to", "outcome"],
        )
        for to, kind, total, seconds, *ends in self._rows(
            f"select e.state, e.kind, count(*), sum(e.milliseconds) / 1000, {counts} "  # noqa: S608 - constants
            "from preview_control.event e join preview_control.preview p on p.id = e.preview_id "
            "where p.project = %s and e.milliseconds is not null group by 1, 2"
        ):
            buckets = [(str(float(end)), value) for end, value in zip(_ENDS, ends, strict=True)]
            steps.add_metric([to, kind], [*buckets, ("+Inf", total)], float(seconds))
        yield steps

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode(), (self._project,)).fetchall()

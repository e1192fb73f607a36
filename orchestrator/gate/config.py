"""The gateway's one config, as a value: written once, never changed for a preview. Pure.

For each request Caddy asks the gate, with the request's own headers but as a GET without a body. An answer that names
an upstream is followed there; any other is the gate's own page and goes to the client as it is. What the gate answered
is kept in a variable, never in a header: nothing that a client sends can lead anywhere.
"""

from itertools import product
from typing import Any

from orchestrator.gate.hosts import RESERVED
from orchestrator.sections import GatewaySection

#: In an answer of the gate: where the request goes.
UPSTREAM = "X-Preview-Upstream"
#: In a request: a token of ours. The app never sees it.
TOKEN = "X-Preview-Token"  # noqa: S105 - a header's name
#: The cookie that lets a browser in; the prefix (HTTPS only) makes browsers hold it to the one host that set it.
COOKIE = "preview-gate"
SECURE_COOKIE = f"__Host-{COOKIE}"

#: What a client may not tell an app about where it comes from, and how else it may be written: many apps read `_` as
#: `-`.
_OURS = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto")
_NOT_BELIEVED = (
    *("Forwarded", "X-Real-Ip"),
    *(f"X-Forwarded-{what}" for what in ("Method", "Port", "Prefix", "Server", "Ssl", "Uri")),
)
_DOUBLES = tuple(
    sorted(
        {
            "".join(part for pair in zip(words, (*marks, ""), strict=True) for part in pair)
            for words in (each.split("-") for each in (*_OURS, *_NOT_BELIEVED, "X-Preview-*"))
            for marks in product("-_", repeat=len(words) - 1)
            if "_" in marks
        }
    )
)

#: What asks the gate while it is being restarted waits this long.
_PATIENCE = "10s"


def gateway_config(gateway: GatewaySection, gate: str, certificate: str = "") -> dict[str, Any]:
    """The config.

    Args:
        gateway: the settings.
        gate: where the gate listens, as Caddy dials it: ``127.0.0.1:PORT`` or ``unix//PATH``.
        certificate: what tells a certificate in files from the next in its place: with it the config changes, and Caddy
            reads the files again.
    """
    server: dict[str, Any] = {
        "listen": [f"{_listen(gateway)}:{gateway.own_port}"],
        "routes": [*_to_server(gateway), *_to_previews(gateway, gate)],
        "errors": {"routes": _errors(gate)},
        # Request lines would hold share links.
        "logs": {"skip_unmapped_hosts": True},
    }
    apps: dict[str, Any] = {"http": {"grace_period": "5s", "servers": {"gateway": server}}}
    if gateway.certificates:
        apps["tls"] = _files(gateway, certificate) if gateway.tls == "files" else _on_demand(gateway, gate)
        # Its root is for those who choose to trust it: Caddy would put it into the machine's own store.
        apps["pki"] = {"certificate_authorities": {"local": {"install_trust": False}}}
        server["tls_connection_policies"] = [{}]
        # Redirects from port 80 are ours to make; without this Caddy would add a server of its own.
        server["automatic_https"] = {"disable_redirects": True}
        if gateway.tls == "files":  # and it would ask Let's Encrypt for the names that it finds in the routes
            server["automatic_https"]["disable_certificates"] = True
        if gateway.own_port == 443:
            apps["http"]["servers"]["redirect"] = _redirect(gateway)
    else:
        server["automatic_https"] = {"disable": True}
    return {"apps": apps}


def _listen(gateway: GatewaySection) -> str:
    address = gateway.listen or ("127.0.0.1" if gateway.local else "")
    return f"[{address}]" if ":" in address else address


def _redirect(gateway: GatewaySection) -> dict[str, Any]:
    to = {"Location": ["https://{http.request.host}{http.request.uri}"]}
    return {
        "listen": [f"{_listen(gateway)}:80"],
        "routes": [
            {
                "match": [{"host": [gateway.domain, f"*.{gateway.domain}"]}],
                "handle": [{"handler": "static_response", "status_code": 308, "headers": to}],
            },
            {"handle": [{"handler": "static_response", "status_code": 404}]},
        ],
    }


def _files(gateway: GatewaySection, mark: str) -> dict[str, Any]:
    """One certificate for all names, which somebody else renews."""
    pair = {"certificate": gateway.certificate, "key": gateway.key, "tags": [mark]}
    return {"certificates": {"load_files": [pair]}}


def _on_demand(gateway: GatewaySection, gate: str) -> dict[str, Any]:
    """Each name gets a certificate on its first request, if the gate knows the name."""
    ask = {"module": "http", "endpoint": f"http://{gate}/gate/name"}
    policy: dict[str, Any] = {"on_demand": True}
    acme = {
        "ca": gateway.authority,
        "email": gateway.email,
        "trusted_roots_pem_files": [gateway.authority_root] if gateway.authority_root else None,
    }
    if gateway.tls == "internal":
        policy["issuers"] = [{"module": "internal"}]
    elif any(acme.values()):
        policy["issuers"] = [{"module": "acme", **{key: value for key, value in acme.items() if value}}]
    return {"automation": {"policies": [policy], "on_demand": {"permission": ask}}}


def _to_server(gateway: GatewaySection) -> list[dict[str, Any]]:
    """The domain itself leads to the team's server; on `localhost` there is none to lead to."""
    if gateway.local:
        return []
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": gateway.server}]}
    return [{"match": [{"host": [gateway.domain]}], "handle": [proxy], "terminal": True}]


def _to_previews(gateway: GatewaySection, gate: str) -> list[dict[str, Any]]:
    own = {
        "match": [{"path": [f"{RESERVED}*"]}],
        "handle": [{"handler": "vars", "asks": "gate"}, _gate_proxy(gate)],
        "terminal": True,
    }
    ask = _gate_proxy(gate) | {
        "rewrite": {"method": "GET", "uri": "/gate"},
        "handle_response": [{"match": {"headers": {UPSTREAM: ["*"]}}, "routes": _onwards(gateway)}],
    }
    ask["headers"] = {
        "request": {
            "set": {
                "X-Forwarded-Method": ["{http.request.method}"],
                "X-Forwarded-Uri": ["{http.request.orig_uri}"],
            },
            # The question is no websocket, whatever the request wants to become.
            "delete": ["Upgrade", "Connection"],
        }
    }
    return [own, {"handle": [{"handler": "vars", "asks": "gate"}, ask]}]


def _gate_proxy(gate: str) -> dict[str, Any]:
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": gate}],
        "load_balancing": {"try_duration": _PATIENCE, "try_interval": "100ms"},
    }


def _onwards(gateway: GatewaySection) -> list[dict[str, Any]]:
    """From the gate's yes to the app, without what is the gate's."""
    headers = "headers"
    response: dict[str, Any] = {
        "replace": {
            "Set-Cookie": [
                # One for the parent domain would reach every other preview; and the gate's own is not the app's to set.
                {"search_regexp": r"(?i);\s*domain\s*=[^;]*", "replace": ""},
                {"search_regexp": rf"(?i)^\s*((__Host-|__Secure-)?{COOKIE})\s*=", "replace": "app-$1="},
            ]
        },
    }
    if not gateway.local:
        # Browsers would take away the cookies of the whole domain: of other previews, and of the team's server.
        response["replace"]["Clear-Site-Data"] = [
            {"search_regexp": r'(?i)"(cookies|\*)"', "replace": '"storage"'}
        ]
    if gateway.private:
        response["set"] = {"X-Robots-Tag": ["noindex, nofollow"]}
    app = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": "{http.vars.upstream}"}],
        "headers": {"response": response, **_by_https(gateway)},
        # A changed config (a new domain, say) does not cut who is connected.
        "stream_close_delay": "5m",
    }
    cut = [
        {"search_regexp": rf"(^|;\s*)(__Host-)?{COOKIE}=[^;]*", "replace": ""},
        {"search_regexp": r"^;\s*", "replace": ""},
    ]
    return [
        {
            "handle": [
                {
                    "handler": "vars",
                    "upstream": "{http.reverse_proxy.header." + UPSTREAM + "}",
                    "asks": "app",
                },
                {
                    "handler": headers,
                    "request": {
                        "delete": ["X-Preview-*", *_NOT_BELIEVED, *_DOUBLES],
                        "replace": {"Cookie": cut},
                    },
                },
            ]
        },
        {
            "match": [{"header_regexp": {"Cookie": {"pattern": r"^[\s;]*$"}}}],
            "handle": [{"handler": headers, "request": {"delete": ["Cookie"]}}],
        },
        {
            "match": [{"header_regexp": {"Authorization": {"pattern": r"(?i)^bearer\s+preview_"}}}],
            "handle": [{"handler": headers, "request": {"delete": ["Authorization"]}}],
        },
        {"handle": [app]},
    ]


def _by_https(gateway: GatewaySection) -> dict[str, Any]:
    """Behind something that speaks HTTPS for the gateway, an app is told so; its visitors come by HTTPS."""
    if gateway.local or gateway.tls != "off":
        return {}
    return {"request": {"set": {"X-Forwarded-Proto": ["https"]}}}


def _errors(gate: str) -> list[dict[str, Any]]:
    """What is said when the app, or the gate itself, does not answer."""
    explain = _gate_proxy(gate) | {
        "rewrite": {"method": "GET", "uri": "/gate/unreachable"},
        "headers": {"request": {"delete": ["Upgrade", "Connection"]}},
    }
    return [
        {"match": [{"vars": {"asks": ["app"]}}], "handle": [explain], "terminal": True},
        {
            "handle": [
                {
                    "handler": "static_response",
                    "status_code": 503,
                    "headers": {"Retry-After": ["2"], "Content-Type": ["text/plain; charset=utf-8"]},
                    "body": "The gate of the previews does not answer. `preview gateway` starts it.\n",
                }
            ]
        },
    ]

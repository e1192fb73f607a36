"""What stands beside one preview: a mail sink, and the only ways out of its closed network. One event loop.

Run as a program, `python -m preview.sidecar FOLDER`. It follows the files in FOLDER/rules, each one owner's:

    {"ways": [{"bind": "10.0.0.1", "port": 443, "to": [["api.example.com", 443]], "postgres": false}],
     "mail": {"bind": ["10.0.0.1"], "port": 20025}, "from": {"10.0.0.1": "10.0.0.0/28"}}

`from`: who may come to an address; a machine answers on all of its addresses whoever can send to one of them, so that
another preview's container would come in here, too. An address that is not named takes everybody.

`GET /healthz` on PORT says which rules are in force. Mails lie in FOLDER/mail: NAME.eml, and
NAME.json for the envelope. It forwards bytes and reads no more of them than the name that a connection asks for
(passage.py); what it refuses is written to standard output.
"""

import asyncio
import hashlib
import http.client
import ipaddress
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from preview.hello import NotAHello
from preview.passage import LONGEST_HELLO_SECONDS, Streams, Way, pass_on

LOOK_SECONDS = 0.1
KEPT_MAILS = 1_000
LARGEST_MAIL_BYTES = 10 * 1024 * 1024


def digest_of(rules: Mapping[str, Any]) -> str:
    """What tells whether these rules are the ones in force."""
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()


def read_rules(folder: Path) -> dict[str, Any]:
    """The rules of every owner; a file that goes away while we look is not there."""
    found = {}
    for file in sorted((folder / "rules").glob("*.json")):
        with suppress(FileNotFoundError, ValueError):
            found[file.stem] = json.loads(file.read_text(encoding="utf-8"))
    return found


def ways_of(rules: Mapping[str, Any]) -> dict[tuple[str, int], Way]:
    """Where to listen, and where each leads."""
    found: dict[tuple[str, int], Way] = {}
    for rule in rules.values():
        for way in rule.get("ways", ()):
            before = found.get((way["bind"], int(way["port"])), Way(()))
            targets = tuple((str(host), int(port)) for host, port in way["to"])
            found[way["bind"], int(way["port"])] = Way(
                tuple(dict.fromkeys((*before.targets, *targets))),
                before.postgres or bool(way.get("postgres")),
            )
    return found


def may_come(rules: Mapping[str, Any], bind: str, peer: str) -> bool:
    """Whether somebody with this address may come to this address of ours."""
    allowed = [rule["from"][bind] for rule in rules.values() if bind in rule.get("from", ())]
    return not allowed or any(ipaddress.ip_address(peer) in ipaddress.ip_network(each) for each in allowed)


class Sidecar:
    """Follows the rules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.in_force = ""
        self.refused: list[str] = []
        self._rules: Mapping[str, Any] = {}
        self._servers: dict[tuple[str, int], tuple[Any, asyncio.Server]] = {}

    async def run(self, port: int) -> None:
        """Serve until we are ended."""
        await asyncio.start_server(self._control, "127.0.0.1", port)
        while True:
            rules = read_rules(self.folder)
            wanted = digest_of(rules)
            if wanted != self.in_force or self.refused:
                await self._follow(rules)
                self.in_force = wanted
            await asyncio.sleep(LOOK_SECONDS)

    async def _follow(self, rules: Mapping[str, Any]) -> None:
        self._rules = rules
        wanted: dict[tuple[str, int], Any] = dict(ways_of(rules))
        for rule in rules.values():
            for bind in (rule.get("mail") or {}).get("bind", ()):
                wanted[bind, int(rule["mail"]["port"])] = "mail"
        for key in [key for key, (what, _) in self._servers.items() if wanted.get(key) != what]:
            _, server = self._servers.pop(key)
            server.close()
        refused = []  # told as a whole: whoever asks meanwhile must not take a half for all
        for (bind, port), what in wanted.items():
            if (bind, port) in self._servers:
                continue
            try:
                server = await self._listen(bind, port, what)
            except OSError as error:  # its network is made again just now, or somebody else listens there
                refused.append(f"{bind}:{port}: {error.strerror or error}")
            else:
                self._servers[bind, port] = (what, server)
        self.refused = refused

    async def _listen(self, bind: str, port: int, what: Any) -> asyncio.Server:
        if what == "mail":
            from aiosmtpd.smtp import SMTP

            sink = Sink(self.folder / "mail")
            comes = self._comes

            class Neighbours(SMTP):
                def connection_made(self, transport: asyncio.BaseTransport) -> None:
                    if comes(bind, transport):
                        super().connection_made(transport)
                    else:
                        transport.close()

            return await asyncio.get_running_loop().create_server(
                lambda: Neighbours(
                    sink, enable_SMTPUTF8=True, data_size_limit=LARGEST_MAIL_BYTES, auth_required=False
                ),
                bind,
                port,
            )
        return await asyncio.start_server(
            lambda reader, writer: self._pass_on(bind, what, reader, writer), bind, port
        )

    def _comes(self, bind: str, transport: asyncio.BaseTransport) -> bool:
        peer = transport.get_extra_info("peername")
        return peer is not None and may_come(self._rules, bind, peer[0])

    async def _pass_on(
        self, bind: str, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            if self._comes(bind, writer.transport):
                await pass_on(way, Streams(reader, writer))
        except NotAHello as refusal:
            print(f"refused on {bind}: {refusal}", flush=True)  # noqa: T201 - the sidecar's log
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LONGEST_HELLO_SECONDS)
            body = json.dumps({"digest": self.in_force, "refused": self.refused}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
        writer.close()


def followed(url: str, folder: Path, *, seconds: float) -> tuple[str, ...]:
    """Wait until the sidecar at this URL follows the rules of its folder; what it cannot do after so long."""
    deadline = time.monotonic() + seconds
    said = ["it does not answer"]
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException, ValueError):
            connection = http.client.HTTPConnection(url.partition("//")[2], timeout=5)
            with closing(connection):
                connection.request("GET", "/healthz")
                value = json.loads(connection.getresponse().read())
            said = value["refused"] or ["it does not follow its rules"]
            if value["digest"] == digest_of(read_rules(folder)) and not value["refused"]:
                return ()
        time.sleep(LOOK_SECONDS / 2)
    return tuple(said)


class Sink:
    """Takes every mail and sends none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep it; the oldest go when there are many."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._count += 1
        name = f"{time.time_ns():020d}-{os.getpid()}-{self._count}"
        said = {"from": envelope.mail_from, "to": list(envelope.rcpt_tos), "peer": str(session.peer[0])}
        (self._folder / f"{name}.eml").write_bytes(envelope.original_content or envelope.content or b"")
        new = self._folder / f"{name}.json.new"
        new.write_text(json.dumps(said), encoding="utf-8")
        new.replace(self._folder / f"{name}.json")  # a mail is there when its envelope is
        for old in sorted(self._folder.glob("*.json"))[:-KEPT_MAILS]:
            old.unlink(missing_ok=True)
            old.with_suffix(".eml").unlink(missing_ok=True)
        return "250 kept, and sent to nobody"


if __name__ == "__main__":
    asyncio.run(Sidecar(Path(sys.argv[1])).run(int(os.environ["PORT"])))

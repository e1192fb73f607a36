"""Pictures of previews' start pages, taken by a Chromium of this machine in the background; of the app alone."""

import hashlib
import os
import pwd
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.lifecycle import Preview, State
from orchestrator.resources.pictures import picture_folder, tidy
from orchestrator.settings import home
from preview import lifeline
from preview.ending import Ending

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 40
#: A browser that is asked to end gets five seconds of its lifeline.
_END_SECONDS = 8.0
#: What could not be taken is tried once more after so long, when somebody looks: the machine may have been busy.
_AGAIN_SECONDS = 60.0
_WIDTH, _HEIGHT = 1280, 800
_KEPT = 60
_MOST_BYTES = 4 * 2**20
_SHOWN = (State.READY, State.CHECKING, State.PROMOTED)
#: Nobody answers there: what is not the preview's own URL leads nowhere.
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What there is of a preview.

    Attributes:
        content: a PNG; empty without one.
        version: changes with the picture; empty without one.
        why_not: why there is none, for a person.
    """

    content: bytes = b""
    version: str = ""
    why_not: str = ""


class Pictures:
    """Takes one picture after the other; a page never waits for it.

    They are kept in memory: nothing of a preview lies about when it is gone.

    Args:
        browser: the program; None looks for one, empty takes none.
    """

    def __init__(self, browser: str | None = None) -> None:
        self._browser = browser if browser is not None else next(filter(None, map(shutil.which, NAMES)), "")
        self._wanted: queue.Queue[tuple[str, str, str] | None] = queue.Queue(maxsize=50)
        self._asked: set[str] = set()
        self._taken: OrderedDict[str, Picture] = OrderedDict()
        self._again: dict[str, float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = Ending()

    def begin(self) -> None:
        """Remove what a server that was killed left."""
        tidy(home())

    def close(self) -> None:
        """End the browser that runs, and leave nothing of it."""
        self._ending.end()
        with suppress(queue.Full):  # then it looks before the next one
            self._wanted.put_nowait(None)
        if self._thread is not None:
            self._thread.join(_END_SECONDS)

    def of(self, preview: Preview) -> Picture:
        """The picture of a preview's app as it is now; asks for one when there is none."""
        url = str(preview.facts.get("url") or "")
        key = _key(preview, url)
        found = self._taken.get(key)
        if found and (found.content or time.monotonic() < self._again.get(key, 0)):
            return found
        if not self._browser:
            return Picture(why_not="Open it: there is no Chromium on the server to take a picture.")
        if preview.state not in _SHOWN or preview.facts.get("sleeping_since") or not _is_http(url):
            return Picture(why_not="Open it.")
        self._ask(key, url, preview.slug)
        return found or Picture(why_not="A picture is being taken.")

    def _ask(self, key: str, url: str, slug: str) -> None:
        with self._lock:
            if key in self._asked:
                return
            with suppress(queue.Full):
                self._wanted.put_nowait((key, url, slug))
                self._asked.add(key)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="pictures", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (wanted := self._wanted.get()) is not None and not self._ending.over:
            key, url, slug = wanted
            content, problem = take(self._browser, url, slug, self._ending)
            version = key[-12:] if content else ""
            why_not = f"There is no picture: {problem}." if problem else ""
            with self._lock:
                self._taken[key] = Picture(content=content, version=version, why_not=why_not)
                self._taken.move_to_end(key)
                self._again = {each: at for each, at in self._again.items() if each in self._taken}
                if problem:
                    self._again[key] = time.monotonic() + _AGAIN_SECONDS
                self._asked.discard(key)
                while len(self._taken) > _KEPT:
                    self._taken.popitem(last=False)


def take(browser: str, url: str, slug: str, ending: Ending) -> tuple[bytes, str]:
    """Take a picture of a page; everything but its own host and port leads nowhere.

    Args:
        browser: the program.
        url: of the page.
        slug: whose page it is.
        ending: ends the browser from another thread.

    Returns:
        The PNG, and why there is none; one of them is empty.
    """
    try:
        with picture_folder(home(), slug) as (folder, held):
            return _taken(browser, url, folder, held, ending)
    except OSError as error:
        return b"", f"the browser does not start ({error.strerror})"


def _taken(browser: str, url: str, folder: Path, held: int, ending: Ending) -> tuple[bytes, str]:
    parts = urlsplit(url)
    own = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    made = folder / "picture.png"
    account = _nobody() if hasattr(os, "geteuid") and os.geteuid() == 0 else None
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
        if not all(each.stat().st_mode & 0o001 for each in folder.parents):
            return b"", f"the browser runs as {account.pw_name}, who may not enter {folder.parent}"
    words = [
        browser,
        "--headless=new",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--mute-audio",
        "--deny-permission-prompts",
        f"--proxy-server={_NOWHERE}",
        f"--proxy-bypass-list=<-loopback>;{own}",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={_WIDTH},{_HEIGHT}",
        "--hide-scrollbars",
        "--virtual-time-budget=8000",
        f"--screenshot={made}",
        url,
    ]
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        # Relative to where it runs: a browser aborts when the path of its socket has more than 107 bytes.
        "TMPDIR": ".",
        "XDG_RUNTIME_DIR": str(folder),
    }
    identity = [f"--as={account.pw_uid}:{account.pw_gid}"] if account else []
    try:
        errors = _run([*identity, "--", *words], folder, environment, held, ending)
    except subprocess.TimeoutExpired:
        return b"", f"the browser did not come to an end within {_SECONDS} s"
    if made.is_symlink() or not made.is_file() or made.stat().st_size > _MOST_BYTES:
        return b"", _said(errors)
    return made.read_bytes(), ""


def _run(words: list[str], folder: Path, environment: dict[str, str], held: int, ending: Ending) -> bytes:
    """Run the browser to its end; what it said. None of its processes is left, however it or we end."""
    with (folder / "errors").open("w+b") as said:
        process = subprocess.Popen(
            [sys.executable, "-I", lifeline.__file__, *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            start_new_session=True,
            pass_fds=(held,),
        )
        if process.stdin is None:  # pragma: no cover - it is a pipe
            raise AssertionError("no pipe")
        line = process.stdin
        ending.by(line.close)
        try:
            process.wait(timeout=_SECONDS)
        finally:
            # Letting go of the line ends what still runs.
            line.close()
            process.wait()
        said.seek(0)
        return said.read(20_000)


def _said(errors: bytes) -> str:
    """Why a browser that took no picture gave up, in few words."""
    text = errors.decode(errors="replace")
    if text.startswith(lifeline.WHY):
        return f"the browser does not start ({text.removeprefix(lifeline.WHY).partition(':')[0]})"
    if "sandbox" in text.lower():
        return "this machine does not let the browser have its sandbox"
    return "the browser took none"


def _nobody() -> pwd.struct_passwd | None:
    """The account without rights that a browser of root's runs as: with one, it keeps its sandbox."""
    with suppress(KeyError):
        return pwd.getpwnam("nobody")
    return None


def _is_http(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https")


def _key(preview: Preview, url: str) -> str:
    """Of this app on this branch: another image or migration is another picture."""
    facts = preview.facts
    looked = (url, (facts.get("image") or {}).get("id"), facts.get("reached"), facts.get("rotated"))
    return f"{preview.slug}-{hashlib.sha256(repr(looked).encode()).hexdigest()[:12]}"

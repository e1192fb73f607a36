"""One marked service of a compose file as the app, the others as its services. Reads the file and nothing else.

What a compose file says and this cannot keep is refused by name: silence would run something else than it describes.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import SettingsError

#: What is understood of a service; `x-` keys are left alone as compose does.
_KNOWN = frozenset(
    {
        "image",
        "build",
        "command",
        "environment",
        "ports",
        "expose",
        "depends_on",
        "mem_limit",
        "cpus",
    }
)
#: What changes nothing of what a preview does with it.
_HARMLESS = frozenset(
    # A container counts as started when its port takes connections, whatever `healthcheck` says.
    [
        "container_name",
        "healthcheck",
        "hostname",
        "init",
        "labels",
        "logging",
        "profiles",
        "restart",
        "stdin_open",
        "tty",
    ]
)
_BUILD = frozenset({"context", "dockerfile", "target", "args"})
_VARIABLE = re.compile(r"(?<!\$)\$(?:\{|[A-Za-z_])")


def read_compose(path: Path, marked: str, without: Iterable[str] = ()) -> dict[str, Any]:
    """Settings that a compose file stands for: `{"app": {...}, "services": {...}}`, as preview.toml would say it.

    Args:
        path: the file.
        marked: the service that is the app.
        without: services that are left out: the database, whose place the branch takes.

    Raises:
        SettingsError: it cannot be read, has no such service, or says what cannot be kept; names key and service.
    """
    left_out = set(without)
    services = {name: each for name, each in _services(path).items() if name not in left_out}
    if marked not in services:
        raise SettingsError(
            f"{path.name} has no service {marked!r}",
            hint=f"app.service is one of: {', '.join(sorted(services))}",
        )
    app: dict[str, Any] = {}
    others: dict[str, Any] = {}
    needed = _needed(path, services, marked, left_out)
    for name in needed:
        said = _Said(path.name, name, services[name])
        if name == marked:
            app = said.app()
        else:
            others[name] = said.service()
            others[name]["depends_on"] = [each for each in others[name]["depends_on"] if each in needed]
    return {"app": app, "services": others}


def _services(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"app.compose: {path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise SettingsError(
            f"{path.name}{line} is not YAML: {getattr(error, 'problem', 'it cannot be read')}"
        ) from None
    found = content.get("services") if isinstance(content, dict) else None
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise SettingsError(f"{path.name} has no services", hint="see https://docs.docker.com/compose/")
    return {str(name): each for name, each in found.items()}


def _needed(
    path: Path, services: Mapping[str, Mapping[str, Any]], marked: str, left_out: set[str]
) -> list[str]:
    """The marked service and all that it depends on, directly or not, in the file's order."""
    needed, left = set(), [marked]
    while left:
        name = left.pop()
        if name in needed:
            continue
        if name not in services:
            raise SettingsError(f"{path.name}: something depends on {name!r}, which is no service")
        needed.add(name)
        left += [each for each in _names(services[name].get("depends_on")) if each not in left_out]
    return [name for name in services if name in needed]


def _names(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | dict) else []


class _Said:
    """One service as the file says it."""

    def __init__(self, file: str, name: str, value: Mapping[str, Any]) -> None:
        self._where = f"{file}: service {name}"
        self._value = value
        keys = {key for key in value if not str(key).startswith("x-")}
        if unknown := sorted(keys - _KNOWN - _HARMLESS):
            raise SettingsError(
                f"{self._where}: `{unknown[0]}` is not supported",
                hint="take it out, or describe the service under [services] in preview.toml",
            )

    def app(self) -> dict[str, Any]:
        """As `[app]`."""
        value: dict[str, Any] = {"env": self._environment()}
        if build := self._build():
            value |= build
        elif image := self._value.get("image"):
            value["image"] = self._plain("image", image)
        if command := self._command():
            value["container_command"] = command
        return value | self._limits()

    def _limits(self) -> dict[str, Any]:
        """What an app and a service say alike: port, memory, processors."""
        value: dict[str, Any] = {}
        if port := self._port():
            value["port"] = port
        if memory := self._value.get("mem_limit"):
            value["memory"] = self._plain("mem_limit", memory)
        if cpus := self._value.get("cpus"):
            value["cpus"] = float(cpus)
        return value

    def service(self) -> dict[str, Any]:
        """As `[services.NAME]`."""
        if self._value.get("build"):
            raise SettingsError(
                f"{self._where}: only the app itself is built",
                hint="give the service an `image`; without `image` and `build` it runs the app's own",
            )
        value: dict[str, Any] = {
            "env": self._environment(),
            "depends_on": _names(self._value.get("depends_on")),
        }
        if image := self._value.get("image"):
            value["image"] = self._plain("image", image)
        if command := self._command():
            value["command"] = command
        return value | self._limits()

    def _build(self) -> dict[str, Any]:
        build = self._value.get("build")
        if build is None:
            return {}
        if isinstance(build, str):
            return {"context": self._plain("build", build)}
        if not isinstance(build, dict) or (unknown := sorted(set(build) - _BUILD)):
            what = f"build.{unknown[0]}" if isinstance(build, dict) else "build"
            raise SettingsError(f"{self._where}: `{what}` is not supported")
        value: dict[str, Any] = {
            key: self._plain(f"build.{key}", build[key])
            for key in ("context", "dockerfile", "target")
            if key in build
        }
        if args := build.get("args"):
            value["build_args"] = self._pairs("build.args", args)
        return value

    def _environment(self) -> dict[str, str]:
        return self._pairs("environment", self._value.get("environment") or {})

    def _pairs(self, key: str, value: object) -> dict[str, str]:
        if isinstance(value, list):
            if bare := next((str(each) for each in value if "=" not in str(each)), None):
                raise SettingsError(
                    f"{self._where}: `{key}` passes on {bare} from the environment",
                    hint=f'name it in app.env_from in preview.toml: env_from = ["{bare}"]',
                )
            value = dict(str(each).split("=", 1) for each in value)
        if not isinstance(value, dict):
            raise SettingsError(f"{self._where}: `{key}` is neither a list nor a mapping")
        return {str(name): self._plain(f"{key}.{name}", each) for name, each in value.items()}

    def _command(self) -> list[str]:
        command = self._value.get("command")
        if command is None:
            return []
        words = shlex.split(command) if isinstance(command, str) else [str(each) for each in command]
        return [self._plain("command", word) for word in words]

    def _port(self) -> int | None:
        """The container's side of the first port."""
        for key in ("ports", "expose"):
            for each in self._value.get(key) or ():
                text = str(each.get("target", "") if isinstance(each, dict) else each)
                found = re.fullmatch(r"(?:.*:)?(\d+)(?:/tcp)?", text)
                if found is None:
                    raise SettingsError(f"{self._where}: the port {text!r} is not supported")
                return int(found[1])
        return None

    def _plain(self, key: str, value: object) -> str:
        """A text without variables: compose would fill them in from an environment that is not ours."""
        if isinstance(value, list | dict) or value is None:
            raise SettingsError(f"{self._where}: `{key}` is no text")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if _VARIABLE.search(text):
            raise SettingsError(
                f"{self._where}: `{key}` has a variable in it, and variables are not supported",
                hint="write the value, or pass it on by app.env_from in preview.toml",
            )
        return text.replace("$$", "$")

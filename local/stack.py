"""The whole of Azure and eMabler that the app meets, on one machine, started and stopped as one.

`async with LocalAzure() as azure:` gives `azure.host.url`, `azure.settings` and the parts.
"""

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from local.app_insights.process import AppInsights
from local.azurite import Azurite
from local.core_tools import CoreToolsHost
from local.data_folder import DataFolder
from local.emabler.process import EmablerServer
from local.errors import LocalError
from local.functions_host.process import FunctionsHost
from local.ports import Ports
from local.service_bus import Queue, ServiceBusBroker

if TYPE_CHECKING:
    from local.kafka.broker import KafkaBroker

ROOT = Path(__file__).resolve().parent.parent
QUEUE_NAME = "push-events"
KAFKA_TOPIC, KAFKA_GROUP, KAFKA_USER = "emabler-push-events", "emabler-functions", "emabler"
PREDECESSOR_SECONDS = 10


class Part(StrEnum):
    """The parts of the stack, in the order in which they are needed."""

    AZURITE = "Azurite"
    BROKER = "Service Bus broker"
    KAFKA = "Kafka broker"
    EMABLER = "eMabler's REST server"
    INSIGHTS = "Application Insights"
    HOST = "Functions host"


EVERYDAY = tuple(part for part in Part if part not in (Part.KAFKA, Part.INSIGHTS))
"""What is started unless `parts` says otherwise: Kafka and capture of telemetry are asked for."""

OPENTELEMETRY = {
    "TELEMETRY": "opentelemetry",
    "PYTHON_ENABLE_OPENTELEMETRY": "true",
    "AzureFunctionsJobHost__telemetryMode": "OpenTelemetry",
}
"""The app settings with which app and host tell what they do by OpenTelemetry."""


class _Running(Protocol):
    @property
    def running(self) -> bool: ...

    async def stop(self) -> object: ...


class LocalAzure:
    """Azurite, the Service Bus broker, eMabler's REST server and the Functions host.

    A Kafka broker is a part on request: without one the app has no function for it. All but the
    host start side by side, then the host, which needs their addresses. They stop the
    other way round, also when one of them could not start.

    Attributes:
        settings: the app settings that the host was given, by name.
        data: the folder of the data; None while not started.
        logs: the folder of the logs.
        started_in: part → seconds that its start took.
    """

    def __init__(
        self,
        *,
        data: Path | None = None,
        reset: bool = False,
        logs: Path | None = None,
        parts: Collection[Part] = EVERYDAY,
        ports: Ports | None = None,
        queue_name: str = QUEUE_NAME,
        lock_seconds: int = 300,
        max_deliveries: int = 100,
        app: Path = ROOT,
        overrides: Mapping[str, str] | None = None,
        core_tools: bool = False,
        before_host: Callable[["LocalAzure"], Awaitable[None]] | None = None,
        report: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Say what is to be started; `start()` starts it.

        Args:
            data: where Azurite, the broker and eMabler keep their data, so that a restart loses
                nothing; None takes a temporary folder that is removed at the end.
            reset: empty the data folder first.
            logs: where the logs go; `logs` in the data folder by default.
            parts: what to start; `Part.INSIGHTS` captures telemetry.
            ports: free ones by default.
            queue_name: the queue of the push events.
            lock_seconds: how long a delivery of that queue stays locked.
            max_deliveries: after how many deliveries a message is dead-lettered.
            app: the folder of `function_app.py`.
            overrides: app settings that take the place of the stack's own, or come on top.
            core_tools: run Azure Functions Core Tools (`func start`) instead of the local host.
            before_host: awaited when `settings` are known and before the host starts, to make
                what the app finds made in Azure (tables, say).
            report: told one line as each part becomes ready.
        """
        self._wanted_data = data
        self._reset = reset
        self._parts = frozenset(parts)
        self._ports = ports or Ports()
        self._queue = Queue(queue_name, lock_seconds=lock_seconds, max_deliveries=max_deliveries)
        self._queue_name = queue_name
        self._app = app
        self._overrides = dict(overrides or {})
        self._core_tools = core_tools
        self._before_host = before_host
        self._report = report
        self._running: dict[Part, _Running] = {}
        self._folder: DataFolder | None = None
        self._temporary: Path | None = None
        self._kafka_password = ""
        self._logs = logs
        self.settings: dict[str, str] = {}
        self.started_in: dict[Part, float] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def azurite(self) -> Azurite:
        """Azurite. Raises LocalError when it was not started (so do the others)."""
        part: Azurite = self._part(Part.AZURITE)
        return part

    @property
    def broker(self) -> ServiceBusBroker:
        """The Service Bus broker."""
        part: ServiceBusBroker = self._part(Part.BROKER)
        return part

    @property
    def kafka(self) -> "KafkaBroker":
        """The Kafka broker, which was asked for among the parts."""
        part: KafkaBroker = self._part(Part.KAFKA)
        return part

    @property
    def emabler(self) -> EmablerServer:
        """The server of eMabler's REST reads."""
        part: EmablerServer = self._part(Part.EMABLER)
        return part

    @property
    def insights(self) -> AppInsights:
        """The ingestion endpoint, with what it captured."""
        part: AppInsights = self._part(Part.INSIGHTS)
        return part

    @property
    def host(self) -> FunctionsHost | CoreToolsHost:
        """The Functions host."""
        part: FunctionsHost | CoreToolsHost = self._part(Part.HOST)
        return part

    @property
    def data(self) -> Path | None:
        """The folder of the data."""
        return self._folder.path if self._folder else None

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self._logs or self._open_folder().path / "logs"

    async def start(self) -> None:
        """Start the parts; when one fails, stop the others.

        Raises:
            LocalError: what a part raised, or what is wrong with the data folder.
        """
        try:
            if self._wanted_data is None:
                self._temporary = Path(await asyncio.to_thread(tempfile.mkdtemp, "-local-azure"))
            path = self._wanted_data or self._temporary or ROOT
            self._folder = DataFolder.open(path, reset=self._reset)
            await self._start_side_by_side()
            self.settings = self._app_settings()
            if self._before_host is not None:
                await self._before_host(self)
            if Part.HOST in self._parts:
                await self._timed(Part.HOST, self.start_host)
        except BaseException:
            await self.stop()
            raise

    async def start_host(self) -> FunctionsHost | CoreToolsHost:
        """Start the host alone, with `settings` as they are now; `start()` has done so already.

        For tests that stop the host and start it again with other settings.
        """
        kind = CoreToolsHost if self._core_tools else FunctionsHost
        host = await kind.start(
            app=self._app,
            settings=self.settings,
            port=self._ports.host,
            log=self.logs / "host.log",
            quiet=True,
        )
        self._running[Part.HOST] = host
        return host

    async def wait_for_a_part_to_end(self) -> None:
        """Wait, until a part ends by itself.

        Raises:
            LocalError: `part_ended`, naming the part; its log says why.
        """
        while True:
            for part, running in self._running.items():
                if not running.running:
                    raise LocalError(
                        "part_ended",
                        f"{part} ended by itself (logs: {self.logs})",
                        "read its log, then start again: the data is kept",
                    )
            await asyncio.sleep(0.5)

    async def stop(self) -> None:
        """Stop the parts in order: the host first, Azurite last. Stopping twice does no harm.

        Raises:
            BaseExceptionGroup: parts that could not be stopped; all were tried.
        """
        failed: list[BaseException] = []
        for part in reversed(Part):
            running = self._running.pop(part, None)
            if running is not None:
                try:
                    await running.stop()
                except BaseException as error:  # noqa: BLE001 - the others must still be stopped
                    failed.append(error)
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        if self._temporary is not None:
            await asyncio.to_thread(shutil.rmtree, self._temporary, ignore_errors=True)
            self._temporary = None
        if failed:
            raise BaseExceptionGroup("parts of the local Azure could not be stopped", failed)

    async def _start_side_by_side(self) -> None:
        starts: dict[Part, Callable[[], Awaitable[Any]]] = {
            Part.AZURITE: self._start_azurite,
            Part.BROKER: self._start_broker,
            Part.KAFKA: self._start_kafka,
            Part.EMABLER: self._start_emabler,
            Part.INSIGHTS: self._start_insights,
        }
        # All are awaited even when one fails: those that started must be known to be stopped.
        results = await asyncio.gather(
            *(self._timed(part, start) for part, start in starts.items() if part in self._parts),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _timed(self, part: Part, start: Callable[[], Awaitable[Any]]) -> None:
        began = time.monotonic()
        self._running[part] = await start()
        self.started_in[part] = time.monotonic() - began
        self._report(f"{part} ready in {self.started_in[part]:.1f} s")

    async def _start_azurite(self) -> Azurite:
        return await Azurite.start(
            self._open_folder().path / "azurite",
            ports=self._ports.azurite,
            log=self.logs / "azurite.log",
        )

    async def _start_broker(self) -> ServiceBusBroker:
        deadline = time.monotonic() + PREDECESSOR_SECONDS
        while True:
            try:
                return await ServiceBusBroker.start(
                    queues=[self._queue],
                    data=self._open_folder().path / "broker",
                    port=self._ports.broker,
                    log=self.logs / "broker.log",
                )
            except LocalError as error:
                # The folder is ours: a broker in it belongs to a run that was killed, and is
                # about to end.
                if error.code != "data_in_use" or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def _start_kafka(self) -> "KafkaBroker":
        # Imported only where it is a part: it takes a while.
        from local.kafka.broker import KafkaBroker  # noqa: PLC0415  # see above

        users = {KAFKA_USER: secrets.token_urlsafe(24)}
        self._kafka_password = users[KAFKA_USER]
        return await KafkaBroker(users=users).start()

    async def _start_emabler(self) -> EmablerServer:
        folder = self._open_folder()
        return await EmablerServer.start(
            api_key=folder.secrets["EMABLER_API_KEY"],
            log=self.logs / "emabler.log",
            port=self._ports.emabler,
            books=folder.path / "emabler" / "books.json",
        )

    async def _start_insights(self) -> AppInsights:
        return await AppInsights.start(
            self._open_folder().path / "app-insights",
            log=self.logs / "app-insights.log",
            port=self._ports.insights,
        )

    def _app_settings(self) -> dict[str, str]:
        settings = {
            **self._open_folder().secrets,
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "PUSH_QUEUE_NAME": self._queue_name,
            "EMABLER_ENVIRONMENT": "test",
            "RECONCILE_SCHEDULE": "0 */15 * * * *",
        }
        if Part.AZURITE in self._parts:
            settings["AzureWebJobsStorage"] = self.azurite.connection_string
            settings["DataStorageConnection"] = self.azurite.connection_string
        if Part.BROKER in self._parts:
            settings["ServiceBusConnection"] = self.broker.connection_string
        if Part.KAFKA in self._parts:
            settings |= {
                "KAFKA_BROKER_LIST": self.kafka.bootstrap,
                "KAFKA_TOPIC": KAFKA_TOPIC,
                "KAFKA_CONSUMER_GROUP": KAFKA_GROUP,
                "KAFKA_PROTOCOL": "SaslPlaintext",
                "KAFKA_USERNAME": KAFKA_USER,
                "KAFKA_PASSWORD": self._kafka_password,
            }
        if Part.EMABLER in self._parts:
            settings["EMABLER_BASE_URL"] = self.emabler.base_url
        if Part.INSIGHTS in self._parts:
            settings["APPLICATIONINSIGHTS_CONNECTION_STRING"] = self.insights.connection_string
        return settings | self._overrides

    def _part(self, part: Part) -> Any:  # noqa: ANN401 - the properties give the types
        if part not in self._running:
            raise LocalError(
                "part_missing", f"{part} was not started", "name it in `parts` of LocalAzure"
            )
        return self._running[part]

    def _open_folder(self) -> DataFolder:
        if self._folder is None:
            raise LocalError("part_missing", "the stack was not started", "await start() first")
        return self._folder

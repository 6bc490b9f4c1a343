"""`python dev.py up`: the local Azure, running until Ctrl-C."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from local.commands import local_settings
from local.commands.frame import DONE, ROOT, STATE, Arguments, run_command
from local.commands.playing.operator import Operator, app_settings_of
from local.emabler import examples
from local.emabler.fleet.command_line import chargers, transport
from local.emabler.fleet.faults import Rates
from local.emabler.fleet.order import Transport
from local.errors import LocalError
from local.ports import AzuritePorts, Ports, choose_port, port_argument

if TYPE_CHECKING:
    from local.stack import LocalAzure, Part

HOST_PORT, BROKER_PORT, EMABLER_PORT = 7071, 5672, 7080
AZURITE_PORTS = (10000, 10001, 10002)


def read_arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Raises:
        LocalError: `usage_wrong`.
    """
    parser = Arguments("up")
    parser.add_argument("--port", type=port_argument)
    parser.add_argument("--azurite-ports", type=_three_ports)
    parser.add_argument("--broker-port", type=port_argument)
    parser.add_argument("--emabler-port", type=port_argument)
    parser.add_argument("--data", type=Path, default=STATE / "data")
    parser.add_argument("--reset", action="store_true")
    parser.add_argument("--settings", type=Path, default=ROOT / "local.settings.json")
    parser.add_argument("--func", action="store_true")
    parser.add_argument("--no-simulator", action="store_true")
    parser.add_argument("--telemetry", nargs="?", const="log", choices=("log", "opentelemetry"))
    parser.add_argument("--fleet", type=chargers)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default="off")
    parser.add_argument("--push", type=transport, default=Transport.SERVICE_BUS)
    arguments = parser.parse_args(words)
    if arguments.fleet is not None and arguments.no_simulator:
        parser.error(
            "a fleet lives in the simulator: --fleet and --no-simulator exclude each other"
        )
    Rates.read(arguments.faults)
    return arguments


def choose_ports(arguments: argparse.Namespace) -> Ports:
    """Take the ports that were asked for, else the preferred ones, else free ones.

    Raises:
        PortInUseError: one that was asked for is taken.
    """

    def choose(asked: int | None, preferred: int, part: str, option: str) -> int:
        wanted = preferred if asked is None else asked
        return choose_port(wanted, asked=asked is not None, part=part, option=option)

    azurite = arguments.azurite_ports or (None, None, None)
    blob, queue, table = (
        choose(asked, preferred, "Azurite", "--azurite-ports")
        for asked, preferred in zip(azurite, AZURITE_PORTS, strict=True)
    )
    return Ports(
        host=choose(arguments.port, HOST_PORT, "the Functions host", "--port"),
        azurite=AzuritePorts(blob=blob, queue=queue, table=table),
        broker=choose(arguments.broker_port, BROKER_PORT, "the broker", "--broker-port"),
        emabler=choose(arguments.emabler_port, EMABLER_PORT, "the REST server", "--emabler-port"),
    )


async def up() -> int:
    """Start everything, tell where it is, and wait for Ctrl-C or for a part to end."""
    arguments = read_arguments(sys.argv[1:])
    file = local_settings.read(arguments.settings)
    local_settings.require_folder(arguments.settings)
    environment = app_settings_of(os.environ)
    environment |= {name: os.environ[name] for name in file.values if name in os.environ}
    ports = choose_ports(arguments)
    overrides = {**file.values, **environment}
    if arguments.no_simulator:
        _expect_an_emabler(overrides)
    # Imported once the rest of the command line is known to be right: they take most of a second.
    from local.core_tools import core_tools_program  # noqa: PLC0415
    from local.stack import OPENTELEMETRY, LocalAzure  # noqa: PLC0415

    if arguments.func:
        core_tools_program()
    if arguments.telemetry is not None:
        # A component of one's own, in a file of one's own, is not to get what is tried out here.
        overrides.pop("APPLICATIONINSIGHTS_CONNECTION_STRING", None)
    if arguments.telemetry == "opentelemetry":
        overrides |= OPENTELEMETRY
    console = Console(highlight=False, soft_wrap=True)

    async with LocalAzure(
        data=arguments.data.resolve(),
        reset=arguments.reset,
        parts=_parts(arguments),
        ports=ports,
        overrides=overrides,
        core_tools=arguments.func,
        before_host=_create_store,
        report=lambda line: console.print(f"  {line}"),
    ) as azure:
        if file.values:
            console.print(f"  from local.settings.json: {', '.join(sorted(file.values))}")
        if environment:
            console.print(f"  from the environment: {', '.join(sorted(environment))}")
        if not file.users_own:
            port = int(azure.host.url.rsplit(":", 1)[1])
            local_settings.write(arguments.settings, azure.settings, port=port)
        _tell(console, azure, arguments)
        await _introduce(azure, arguments)
        if arguments.fleet is not None:
            await _bring_to_life(azure, arguments)
            told = "eMabler's log tells when they cannot reach the app"
            console.print(f"\n  {arguments.fleet} chargers live here; {told}.")
        if not file.users_own:
            told = "for manage.py and other tools"
            console.print(f"\n  The settings are in {arguments.settings}, {told}.")
        console.print("\n[bold]Ready.[/] Ctrl-C stops everything.")
        await azure.wait_for_a_part_to_end()
    return DONE


def _parts(arguments: argparse.Namespace) -> "list[Part]":
    """What is started: an eMabler, Kafka and the capture of telemetry where they are wanted."""
    from local.stack import Part  # noqa: PLC0415 - with the stack, see above

    wanted = {
        Part.EMABLER: not arguments.no_simulator,
        Part.KAFKA: arguments.push is Transport.KAFKA,
        Part.INSIGHTS: arguments.telemetry is not None,
    }
    return [part for part in Part if wanted.get(part, True)]


def _expect_an_emabler(settings: Mapping[str, str]) -> None:
    """Refuse to ask the real eMabler with a key that was made up here.

    Raises:
        LocalError: `setting_wrong`.
    """
    if not settings.get("EMABLER_API_KEY"):
        raise LocalError(
            "setting_wrong",
            "--no-simulator leaves eMabler out, and EMABLER_API_KEY is not set",
            "set it in the environment or in local.settings.json, and EMABLER_BASE_URL where it "
            "is not the environment's own address",
        )


async def _introduce(azure: "LocalAzure", arguments: argparse.Namespace) -> None:
    """Let eMabler know where it pushes to, as an operator would; a fleet brings that itself."""
    from local.commands.playing.fleet import configure_push  # noqa: PLC0415 - with the stack

    if arguments.fleet is None and not arguments.no_simulator:
        await configure_push(azure)


async def _bring_to_life(azure: "LocalAzure", arguments: argparse.Namespace) -> None:
    """Let a fleet live at the pace of the clock; the operator knows its tags."""
    from local.commands.playing.fleet import FleetOnStack, write_fleet_tags  # noqa: PLC0415

    fleet = FleetOnStack(azure)
    tags = await fleet.prepare(
        seed=arguments.seed,
        chargers=arguments.fleet,
        faults=arguments.faults,
        days=None,
        transport=arguments.push,
    )
    file = (azure.data or STATE) / "fleet-tags.csv"
    write_fleet_tags(file, tags, datetime.now(UTC))
    await Operator(azure.settings, azure.data or STATE).run("tags", "import", file)
    await fleet.begin()


async def _create_store(azure: "LocalAzure") -> None:
    """Make the tables that are missing, as an operator would."""
    await Operator(azure.settings, azure.data or STATE).create_store()


def _tell(console: Console, azure: "LocalAzure", arguments: argparse.Namespace) -> None:
    """Print the addresses and lines that can be pasted into another terminal."""
    settings, url = azure.settings, azure.host.url
    state = examples.load(datetime.now(UTC)).messages["v2/charger_state"]
    push = json.dumps(json.loads(state), separators=(",", ":"))
    authorization = f"Authorization: {settings['WEBHOOK_AUTHORIZATION']}"
    lines = {
        "Functions": url,
        "webhook": f"{url}/api/emabler/push",
        "status": f"{url}/api/status (no key is asked for here)",
        "eMabler REST": settings.get("EMABLER_BASE_URL", "that of EMABLER_ENVIRONMENT"),
        "Service Bus": settings["ServiceBusConnection"],
        "Kafka": settings.get("KAFKA_BROKER_LIST", ""),
        "Storage": settings["DataStorageConnection"],
        "data": str(azure.data),
        "logs": str(azure.logs),
    }
    if arguments.telemetry is not None:
        lines["telemetry"] = f"{azure.insights.file} (JSON lines)"
    if not arguments.no_simulator:
        books = f"{azure.emabler.books_url}/sessions (PUT, POST, GET; also ongoing, …)"
        lines |= {"its books": books, "its fleet": f"{azure.emabler.fleet_url} (GET, PUT, …)"}
    lines = {name: value for name, value in lines.items() if value}
    width = max(map(len, lines))
    console.print()
    for name, value in lines.items():
        console.print(f"  [bold]{name:<{width}}[/]  {value}")
    commands = {
        "push an event": f"curl -i {url}/api/emabler/push -H '{authorization}' -d '{push}'",
        "tap with a tag": f"curl -i {url}/api/emabler/push -H '{authorization}' "
        '-d \'{"charger_id":"HKI-JATKASAARI-12","rfid_tag_id":"04A2247B5E6180"}\'',
        "reconcile now": f"curl -i -X POST {url}/admin/functions/reconcile "
        "-H 'Content-Type: application/json' -d '{}'",
        "look inside": f"{sys.executable} manage.py events list",
    }
    for name, command in commands.items():
        console.print(f"\n  [bold]{name}[/]")
        console.print(f"  {command}", markup=False)


def _three_ports(text: str) -> tuple[int, int, int]:
    numbers = [port_argument(part) for part in text.split(",")]
    if len(numbers) != len(AZURITE_PORTS):
        raise argparse.ArgumentTypeError("three ports are needed: BLOB,QUEUE,TABLE")
    return numbers[0], numbers[1], numbers[2]


if __name__ == "__main__":
    run_command(up)

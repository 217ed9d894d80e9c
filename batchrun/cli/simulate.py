"""``batchrun simulate``: a simulated provider on a port, until it is stopped; then its bill."""

from __future__ import annotations

import errno
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any

import anyio
import click
import orjson
from pydantic import SecretStr, ValidationError

from batchrun.cli.options import refuse_what_is_kept
from batchrun.cli.saying import put
from batchrun.core.errors import Mistake
from batchrun.core.jobs.names import variables_for
from batchrun.core.jobs.rewording import reworded
from batchrun.core.jobs.words import Wrong, key_path, without_keys_in
from batchrun.edge.signals import heeded
from batchrun.simulator.example import EXAMPLE
from batchrun.simulator.scenario import OPEN_KEY_PREFIX, Scenario
from batchrun.simulator.server import Base, serve
from batchrun.simulator.service import Service
from batchrun.simulator.strangers import strangers


def _print_example(context: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - as click calls it
    if wanted:
        put(EXAMPLE, nl=False)
        context.exit()


_ABOUT = """\
Stand in for Model Studio: its OpenAI-compatible and native chat routes, its model list, limits and permissions.

The first line on standard output is JSON with the URL; a job's endpoint is that and /compatible-mode/v1. Ctrl-C or SIGTERM stops
it; then the bill is the last line, or is written to --bill. Without workspaces, any key sk-sim-NAME is the key of workspace NAME.
Keys are the simulator's own fakes: never give it a real one.

A scenario sets what the provider keeps: workspaces with their keys, authorised models and limits; accounts with shared quotas in
short windows, limits of growth, balances and free tokens; planned faults; and changes at given times of the run. A job file says the
same under [simulator], except keys and whose account a workspace is of: these its own tables say.

Exits with 0 when it was stopped, with 2 where a scenario or a flag is wrong, and with 1 where it cannot listen or write the bill.
"""


@click.command(help=_ABOUT)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8800, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option(
    "--scenario",
    "scenario_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file that says what the provider is like; --example shows what it may say.",
)
@click.option(
    "--example",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_example,
    help="Print a scenario with every setting, and end.",
)
@click.option("--seed", type=int, help="Another seed than the scenario's.")
@click.option("--latency-median", type=click.FloatRange(0, 3600), metavar="SECONDS", help="Another median latency; 0 for none.")
@click.option(
    "--workspace",
    "pairs",
    multiple=True,
    metavar="NAME=KEY",
    help="A workspace and its fake key; may be given again. One of the scenario's gets this key.",
)
@click.option(
    "--bill",
    "bill_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the bill here at the end; as the console's export, where the name ends in .csv.",
)
def simulate(
    *,
    host: str,
    port: int,
    scenario_file: Path | None,
    seed: int | None,
    latency_median: float | None,
    pairs: tuple[str, ...],
    bill_file: Path | None,
) -> None:
    """Carry out ``batchrun simulate``."""
    scenario = _scenario(scenario_file, seed, latency_median, pairs)
    if bill_file is not None:
        # Told after hours of calls, it would come too late.
        refuse_what_is_kept(str(bill_file), "bill.csv", own={".json"})
        if not bill_file.parent.is_dir():
            raise click.BadParameter(f"{bill_file}: there is no folder {bill_file.parent}", param_hint="--bill")
    service = Service(scenario)
    try:
        anyio.run(_until_stopped, service, host, port)
    except OSError as error:
        # From Python 3.13 on asyncio goes past addresses that are not there, and says without a number that it has come to no other.
        is_of_the_host = isinstance(error, socket.gaierror) or error.errno in {errno.EADDRNOTAVAIL, None}
        way_out = "--host takes an address of this machine" if is_of_the_host else "--port 0 takes a free one"
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}; {way_out}") from None
    if bill_file is None:
        click.echo(orjson.dumps(service.bill()).decode())
        return
    in_json = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    bill = service.bill_export() if bill_file.suffix.lower() == ".csv" else orjson.dumps(service.bill(), option=in_json)
    try:
        bill_file.write_bytes(bill)
    except OSError as error:
        click.echo(orjson.dumps(service.bill()).decode())
        raise click.ClickException(f"--bill {bill_file}: {error.strerror}: the bill was printed instead") from None


def _scenario(file: Path | None, seed: int | None, latency_median: float | None, pairs: tuple[str, ...]) -> Scenario:
    """What the file says, then what the flags say; open to every ``sk-sim-NAME`` where neither names a workspace."""
    told = _read(file) if file is not None else {}
    if seed is not None:
        told["seed"] = seed
    if latency_median is not None:
        _lay_over(told, "latency", {"median": latency_median})
    for name, key in map(_pair, pairs):
        _lay_over(told, "workspaces", {})
        if isinstance(told["workspaces"], dict):
            _lay_over(told["workspaces"], name, {"api_key": key})
    told.setdefault("open_keys", not told.get("workspaces"))
    try:
        scenario = Scenario.model_validate(told)
    except ValidationError as error:
        raise _mistaken(file, list(reworded(error, Scenario, told))) from None
    if wrongs := list(strangers(scenario)):
        raise _mistaken(file, wrongs)
    return scenario


def _lay_over(tables: dict[str, Any], name: str, table: dict[str, Any]) -> None:
    """Lay *table* over the one of that name; what stands there and is no table is left for the check to find."""
    below = tables.get(name, {})
    if isinstance(below, dict):
        tables[name] = {**below, **table}


def _mistaken(file: Path | None, wrongs: list[Wrong]) -> click.UsageError:
    mistakes = [f"  {Mistake(key_path(one.loc) or 'scenario', one.found, one.allowed)}" for one in map(_in_our_words, wrongs)]
    return click.UsageError("\n".join([f"{file or 'the flags'}:", *mistakes]))


def _in_our_words(wrong: Wrong) -> Wrong:
    """What a job file's words would tell wrongly of a scenario: a key is never shown, and rates have a place here."""
    match wrong.loc:
        case (*_, "api_key") if wrong.found != "nothing":
            return wrong._replace(found="something that is not shown")
        case (*_, "rpm" | "tpm" | "quotas"):
            if wrong.found == "an unknown key":
                return wrong._replace(allowed="no such key here; rates stand in a workspace's limits and in an account's quotas, by model")
    return wrong


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"{file}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise click.UsageError(f"{file}: nested too deeply for a scenario") from None
    except ValueError as error:  # No TOML, no UTF-8, or a number of more digits than Python reads.
        raise click.UsageError(f"{file}: not TOML: {without_keys_in(str(error))}") from None


def _pair(text: str) -> tuple[str, SecretStr]:
    name, equals, key = text.partition("=")
    if not (name and equals and key):
        raise click.BadParameter("NAME=KEY is wanted, such as marketing=sk-sim-marketing", param_hint="--workspace")
    return name, SecretStr(key)


async def _until_stopped(service: Service, host: str, port: int) -> None:
    with anyio.open_signal_receiver(*heeded()) as signals:
        async with serve(service, host, port) as base:
            _tell(service.scenario, base)
            async for _ in signals:
                return


def _tell(scenario: Scenario, base: Base) -> None:
    """The URL for a program on standard output, how to use it for a person on standard error."""
    sys.stdout.write(orjson.dumps({"url": base.url}).decode() + "\n")
    sys.stdout.flush()
    notes = [f"simulating Model Studio: base_url {base.url}/compatible-mode/v1"]
    notes += [
        f"  workspace {name}: {variable} is its key in the scenario" for name, variable in variables_for(tuple(scenario.workspaces)).items()
    ]
    if scenario.open_keys:
        notes.append(f"  any workspace NAME: NAME_DASHSCOPE_API_KEY={OPEN_KEY_PREFIX}NAME")
    notes += [
        f"  bill {base.url}/simulator/bill (as an export: {base.url}/simulator/bill.csv), calls {base.url}/simulator/calls; Ctrl-C stops it"
    ]
    click.echo("\n".join(notes), err=True)

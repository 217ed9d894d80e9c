"""What talks to people: one thin file a verb, each imported when it is asked for, so that ``--version`` and ``--help`` stay quick."""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from batchrun import __version__
from batchrun.cli import at_first
from batchrun.cli.saying import FULL, say
from batchrun.edge import signals
from batchrun.edge.descriptors import provide_the_least
from batchrun.edge.standard_streams import lead_nowhere, open_what_is_closed, say_what_can_be_said, wait_for_a_slow_reader

if TYPE_CHECKING:
    from batchrun.core.errors import BatchrunError

_VERBS = {
    "run": "Carry a job out, or go on with it.",
    "doctor": "Check keys, endpoints, authorisations and quotas before a run.",
    "plan": "Forecast a run: how long it takes, what limits it, what is wrong; without a call.",
    "report": "Show what a run has done and spent.",
    "check": "Verify a run directory, and mend it.",
    "reconcile": "Hold the provider's bill against what runs have counted.",
    "prices": "List what models cost, and where that is from.",
    "simulate": "Stand in for the provider on a local port.",
    "schema": "Print the JSON Schema of the job file.",
}
_GOES_ON = frozenset({"resume", "continue", "restart", "retry", "start"})
"""What other programs call it that a run goes on."""


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _VERBS:
            return None
        command: click.Command = getattr(import_module(f"batchrun.cli.{cmd_name}"), cmd_name)
        at_first.imported()
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        verb = next((each for each in args if each in _VERBS), None)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if verb is not None and not error.option_name.startswith("--ver"):
                ctx.fail(f"No such option '{error.option_name}' before a command: what {verb} takes stands behind it, batchrun {verb} …")
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from batchrun.core.errors import StoppedError  # noqa: PLC0415 - nothing is imported before it is needed

            raise StoppedError("stopped by SIGINT; the same command goes on, or does it again") from None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _VERBS and not args[0].startswith("-"):
            from batchrun.core.jobs.words import one_of  # noqa: PLC0415 - nothing is imported before it is needed

            if args[0] in _GOES_ON or args[0].endswith(".toml"):
                ctx.fail(f"No such command '{args[0]}': batchrun run JOB.toml carries a job out, and goes on with one that was stopped.")
            ctx.fail(f"No such command '{args[0]}': {one_of(args[0], _VERBS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
    if wanted:
        click.echo(f"batchrun {__version__}")
        ctx.exit()


_ABOUT = """\
Send a file of prompts through Model Studio's sub-workspaces: per-workspace results and token usage come out.

\b
Exit codes
  0  every row is answered
  1  a bug in batchrun
  2  the job, an argument, a key or (with --strict) an input line is wrong, or
     (with --strict) a workspace or model would be parked; nothing was called
  3  finished, with rejected or exhausted rows or rejected input lines
  4  stopped before the end and resumable: signal, parked, disk, memory, an
     input that has grown meanwhile (4 beats 3)
  5  the run directory is in use by another process
  6  the run directory is damaged, or another job's
"""


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]}, help=_ABOUT)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version.")
def batchrun() -> None:
    """Carry out ``batchrun``."""


def main() -> None:
    """Run the command line; every error batchrun raises on purpose, and what ran out for it, is one message and its exit code.

    So is a standard output that can take no more, and a name that the system's encoding cannot write.
    """
    at_first.heed(run=sys.argv[1:2] == ["run"])
    from batchrun.core.errors import BatchrunError, StoppedError, no_such_name  # noqa: PLC0415 - nothing is imported before it is needed

    open_what_is_closed()
    wait_for_a_slow_reader()
    say_what_can_be_said()
    try:
        provide_the_least()
        with signals.believed_though_held_up(at_first.end_held_up):
            batchrun.main(standalone_mode=True)
    except BatchrunError as error:
        _end(error)
    except MemoryError:
        # Of what a run did nothing is lost by it: what is told of it can be told again.
        _end(StoppedError("there was no memory left: give it more, and run the same command again"))
    except OSError as error:
        # All that a verb opens itself is told by its name.
        if error.filename is not None or error.errno not in {*FULL, errno.EIO}:
            raise
        lead_nowhere(1)
        _end(StoppedError(f"standard output cannot be written: {error.strerror}"))
    except UnicodeEncodeError as error:
        _end(no_such_name(f"{error.object[:200]!a}", error))
    except (RuntimeError, SystemError, TypeError) as error:
        from batchrun.running.failing import told  # noqa: PLC0415 - nothing is imported before it is needed

        if not isinstance(ended := told(error), BatchrunError):
            raise
        _end(ended)


def _end(error: BatchrunError) -> NoReturn:
    say(f"batchrun: {error}", err=True)
    sys.exit(error.exit_code)

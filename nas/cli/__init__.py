"""The command line. One file a command group, loaded when it is called."""

from __future__ import annotations

import importlib
import io
import sys

import click

import nas
from search_spaces.errors import NasError, nearest

# command -> (module, one line of help); the line is here so that `nas --help` loads nothing
COMMANDS = {
    "search": ("nas.cli.search", "Search a space and record a Pareto front."),
    "runs": ("nas.cli.look", "List the runs."),
    "pareto": ("nas.cli.pareto", "Show the front of a run."),
    "show": ("nas.cli.look", "Show one architecture of a run, layer by layer."),
    "energy": ("nas.cli.energy", "Price a run or an export under other cost models."),
    "report": ("nas.cli.report", "Write one HTML page about a run, or several side by side."),
    "trust": ("nas.cli.trust", "How far the guides of a run agree with its evaluations."),
    "confirm": ("nas.cli.confirm", "Retrain a front on every outer fold."),
    "baselines": ("nas.cli.baselines", "Measure simple models on the same folds."),
    "export": ("nas.cli.export", "Write one architecture as a folder."),
    "convert": ("nas.cli.convert", "Write an export as NIR, ONNX or integer weights."),
    "train": ("nas.cli.train", "Retrain an exported architecture on a corpus."),
    "predict": ("nas.cli.predict", "What an exported network says of recordings."),
    "robustness": ("nas.cli.robustness", "Jitter, lost spikes, clock steps, weight bits."),
    "adapt": ("nas.cli.adapt", "Change the frame rate of an export, without training."),
    "space": ("nas.cli.space", "Check, sample and count search spaces."),
    "data": ("nas.cli.data", "List, fetch, check and split corpora."),
    "features": ("nas.cli.features", "Extract features, see what is cached, make room."),
    "profile": ("nas.cli.profile", "Where the time of an evaluation goes."),
    "bench": ("nas.cli.bench", "Latency and memory of the attention kinds."),
}


class _Lazy(click.Group):
    """A group whose commands are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"no command {args[0]!r}: {nearest(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: nas search --space pts_snn.yaml --budget 200",
)
@click.version_option(nas.__version__, prog_name="nas")
def cli() -> None:
    """Search spiking emotion-recognition networks that fit an edge device.

    Results go to stdout, progress and warnings to stderr. Every command takes --json and
    --quiet. Exit codes: 0 done, 1 nothing usable came out, 2 bad input, 130 interrupted.
    """


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # the name of a file need not be text; as an escape it is, and in JSON it comes back
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(standalone_mode=False)  # click returns the code of an Exit here
        sys.exit(code if isinstance(code, int) else 0)
    except NasError as error:
        _fail(str(error))
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # the reader (head, less) has seen enough
        sys.stderr.close()
        sys.exit(0)


def _fail(text: str) -> None:
    click.echo(f"error: {text}", err=True)
    sys.exit(2)

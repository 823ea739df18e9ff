"""The events of a run as a reader sees them: a live line on a terminal, plain lines elsewhere."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tools.layout import duration, percent, say, short, terminal
from tools.outcome import TOLD_APART, recipe_lines, result_table

Event = dict[str, Any]  # that of common/run.py, which would load PyTorch for `tools --help`


class Rate(ProgressColumn):
    """Items per second of the current work."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.1f}/s" if task.speed else "")


class RunConsole:
    """An observer that shows what happens; a context that ends the live line.

    Args:
        quiet: show warnings only, on standard error.
        run: the run folder, where it is known before the first event.
    """

    def __init__(self, *, quiet: bool = False, run: Path | None = None) -> None:
        self.quiet = quiet
        self.run = run
        self.out = terminal(errors=quiet)
        self._tests: dict[str, dict[str, Any]] = {}  # since the last epoch line
        self._left = ""
        self._live: Progress | None = None
        if self.out.is_terminal and not quiet:
            self._live = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                Rate(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[left]}", style="dim", markup=False),
                console=self.out,
                transient=True,
            )

    def __enter__(self) -> "RunConsole":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        show = {
            "stage": self._stage,
            "progress": self._progress,
            "recipe": self._recipe,
            "run": self._run,
            "test": self._test,
            "epoch": self._epoch,
            "warning": self._warning,
            "result": self._result,
        }.get(event["event"])
        if show:
            show(event)

    def show(self, content: RenderableType) -> None:
        """Print a table or a text, for readers only."""
        if not self.quiet:
            self.out.print(content)

    def warn(self, text: str) -> None:
        """A warning, for programs on standard error."""
        say(self.out, f"warning: {text}", "yellow")

    def ticks(self, what: str, unit: int = 1) -> Callable[[int, int], None]:
        """A progress callback of (done, total), shown in multiples of `unit`."""
        return lambda done, total: self._progress(
            {"what": what, "done": done // unit, "total": total // unit}
        )

    def _say(self, text: str, style: str = "") -> None:
        if not self.quiet:
            say(self.out, text, style)

    def _stage(self, event: Event) -> None:
        text = str(event["text"])
        self._begin(text, None)
        # On a terminal the live line shows the stages; elsewhere those of every epoch are noise.
        if text.startswith("estimate") or not (self._live or text.startswith("epoch ")):
            self._say(text)

    def _progress(self, event: Event) -> None:
        if self._live is None:
            return
        what = str(event["what"])
        if "epoch" in event:
            what = f"epoch {event['epoch'] + 1}: {what}"
        if not self._live.tasks or self._live.tasks[0].description != what:
            self._begin(what, event["total"])
            if not event["done"]:  # the work begins now, not with the first that is done
                self._live.advance(self._live.task_ids[0], 0)
        self._live.update(self._live.task_ids[0], completed=event["done"], total=event["total"])

    def _begin(self, what: str, total: int | None) -> None:
        """Another work in the live line; `total` is None where its size is unknown."""
        if self._live:
            self._end()
            self._live.add_task(what, total=total, left=self._left)

    def _end(self) -> None:
        """Nothing in the live line."""
        if self._live:
            for task in self._live.task_ids:
                self._live.remove_task(task)
            self._live.refresh()

    def _recipe(self, event: Event) -> None:
        self._say(event["title"], "bold")
        for group, values in recipe_lines(event):
            self._say(f"  {group:<12}{values}")
        images = ", ".join(f"{count:,} {part}" for part, count in event["counts"].items() if count)
        self._say(f"  {'images':<12}{images}")
        self._say(f"  {'cameras':<12}{event['cameras']}")
        for text in event["deviations"]:
            self._say(f"  differs: {text}", "yellow")

    def _run(self, event: Event) -> None:
        self.run = Path(event["path"])
        self._say(f"run folder {self.run}")

    def _test(self, event: Event) -> None:
        if event["epoch"] < 0:
            teacher = " (teacher)" if event["network"] == "teacher" else ""
            self._say(f"before training{teacher}: {_scores(event)}")
        else:
            self._tests[str(event["network"])] = event

    def _epoch(self, event: Event) -> None:
        parts = [f"epoch {event['epoch'] + 1}/{event['epochs']}"]
        parts += [f"{name} {value:.3f}" for name, value in event["losses"].items()]
        parts.append(f"{event['clusters']} clusters, {event['outliers']} outliers")
        numbers = {k: v for k, v in event.items() if k not in (*TOLD_APART, "lr")}
        parts += [f"{name} {short(value)}" for name, value in numbers.items()]
        for network, test in self._tests.items():
            name = f"{network} " if len(self._tests) > 1 else ""
            parts.append(f"{name}{_scores(test)}")
        parts.append(duration(sum(event["seconds"].values())))
        self._left = f"{duration(event['remaining'])} left" if event["remaining"] else ""
        self._say("  ".join([*parts, self._left]).rstrip())
        self._tests = {}

    def _warning(self, event: Event) -> None:
        self.warn(event["text"])

    def _result(self, event: Event) -> None:
        self._end()
        self.run = None  # what is stopped from now on is not this run
        result = event["result"]
        if table := result_table(result):
            self.show(table)
        elif result["clusters"]:
            self._say(
                f"last epoch: {result['clusters'][-1]} clusters, {result['outliers'][-1]} outliers "
                "(no test part, so no scores)"
            )
        self._say(f"run folder  {result['run']}")
        if "report" in result:
            self._say(f"report      {result['report']}")


def _scores(event: Event) -> str:
    return f"mAP {percent(event['map'])} %, rank-1 {percent(event['rank1'])} %"

"""``vidtx predict``: what a model says about videos."""

import argparse
import json
import sys

from data_pipelines.video_files import VideoFiles, list_video_files
from vidtx.cli._progress import Progress
from vidtx.cli._signals import StopSignal
from vidtx.cli._values import rate, seconds, views, weights_place
from vidtx.cli.arguments import place, whole_number
from vidtx.cli.convert import read_class_names
from vidtx.errors import ConfigError, DataQualityError, StoppedError

__all__ = ["add_commands"]

_DESCRIPTION = """Asks a model what videos show: the likeliest classes of each, and, with
--timeline, of every stretch of it.

    vidtx predict clip.mov --weights=runs/k400/best
    vidtx predict clips 'phone/**/*.mov' --weights=runs/k400 --views=10x3 --csv=answers.csv
    vidtx predict hour.mp4 --weights=runs/k400/best --timeline --hop=1 --out=answers

VIDEO is a file of any container and length, a folder (all videos below it), or a pattern in quotes.
Clips are prepared as the weights ask for: frames, rate, size, colours, views and names of classes
travel with them. Files that cannot be used are told of, and the others are answered;
docs/predict.md has the rest.

Exit code 2: no video was found, or an option does not fit; 4: stopped, what was done is written; 5:
some videos failed, could be read in part only, or a folder or pattern holds none; 6: the weights
cannot be used; 7: the disk is full, or a batch does not fit the device.
"""


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Registers ``vidtx predict``."""
    parser = commands.add_parser(
        "predict", help="ask a model what videos show", description=_DESCRIPTION
    )
    option = parser.add_argument
    option("videos", metavar="VIDEO", nargs="+", type=place, help="file, folder, or 'pattern'")
    option(
        "--weights",
        required=True,
        type=weights_place,
        help="a run directory, its folder best, one checkpoint, another library's file or folder, "
        "or hf:OWNER/NAME",
    )
    option("--top", type=whole_number(1), default=5, metavar="N", help="classes told (default: 5)")
    option("--json", action="store_true", help="print one JSON value")
    option("--csv", type=place, metavar="FILE", help="write a table: a row a video and class")
    option(
        "--batch",
        type=whole_number(1),
        default=8,
        metavar="N",
        help="clips at once; changes speed and memory, no answer (default: 8)",
    )
    long = parser.add_argument_group("long videos").add_argument
    long("--timeline", action="store_true", help="also tell what happens when")
    long("--hop", type=seconds, metavar="SECONDS", help="between windows (default: half of one)")
    long(
        "--window",
        type=seconds,
        metavar="SECONDS",
        help="length of a window, for weights that take clips of any length (default: 4)",
    )
    long("--out", type=place, metavar="FOLDER", help="write timelines as pictures and tables")
    other = parser.add_argument_group("in place of what the weights say").add_argument
    other("--views", type=views, metavar="TxS", help="clips x crops of a video, such as 10x3")
    other("--stride", type=whole_number(1), metavar="N", help="frames from one to the next")
    other(
        "--fps",
        type=rate,
        metavar="F",
        help="frames a second that the stride counts in; 0: each video's own",
    )
    other("--class_names", type=place, metavar="FILE", help="one name a line, in the head's order")
    other("--num_heads", type=whole_number(1), metavar="N", help="where no file says it")
    other("--channel_order", choices=("rgb", "bgr"), help="where no file says it, or says it wrong")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Asks, and prints answers as they come."""
    alone = [f"--{name}" for name in ("hop", "window", "out") if getattr(options, name) is not None]
    if alone and not options.timeline:
        raise ConfigError(f"{', '.join(alone)} is of timelines: add --timeline, or leave it out.")
    found = list_video_files(options.videos)
    names = options.class_names and read_class_names(options.class_names)
    # Here, as a wrong command line is to be told at once.
    from vidtx.inference import Predictor

    predictor = Predictor.load(
        options.weights,
        views=options.views,
        batch=options.batch,
        stride=options.stride,
        target_fps=options.fps,
        class_names=names,
        num_heads=options.num_heads,
        channel_order=options.channel_order,
    )
    return _Asking(options, found, predictor).run()


class _Asking:
    """One call of the command: what was said so far, and how it ends."""

    def __init__(self, options: argparse.Namespace, found: VideoFiles, predictor):
        self._options, self._found, self._predictor = options, found, predictor
        self._told: list[dict] = []
        self._count = self._failed = self._partly = 0
        self._stop = StopSignal(
            "the video at hand is finished first.",
            "What was answered is written. The same command begins anew.",
        )
        self._progress = self._along_video = Progress("videos")
        self._path: str | None = None

    def run(self) -> int:
        """Asks about all videos; returns the exit code."""
        from vidtx.run.predict import Timelines, answers, fitting_batch

        options, predictor, files = self._options, self._predictor, self._found.files
        timelines = None
        if options.timeline:
            timelines = Timelines(options.hop, options.window, options.out, self._along)
        predictor.batch = fitting_batch(
            options.batch, len(files), predictor.preprocessing.clips.views,
            timelines=options.timeline,
        )  # fmt: skip
        self._say(self._head())
        stopped = None
        try:
            with self._stop, self._progress:
                for answer in answers(
                    predictor, files, top=options.top, csv=options.csv, timelines=timelines
                ):
                    self._take(answer)
                    if self._count < len(files):
                        self._stop.check()
        except StoppedError as error:
            stopped = error
        self._say(self._end())
        if options.json:
            print(json.dumps(self._value(stopped)))
        if stopped is not None:
            print(f"vidtx: {stopped}", file=sys.stderr, flush=True)
            return stopped.exit_code
        lacking = self._failed or self._partly or self._found.missing
        return DataQualityError.exit_code if lacking else 0

    def _take(self, answer) -> None:
        from vidtx.run.answers import answer_lines, timeline_lines

        self._count += 1
        told = answer.to_dict()
        self._failed += told["status"] == "failed"
        self._partly += told["status"] == "in part"
        if self._options.json:
            self._told.append(told)
        else:
            lines = [*answer_lines(answer.prediction, has_timeline=answer.timeline is not None)]
            if answer.timeline is not None:
                lines += timeline_lines(answer.timeline, told=answer.prediction.notes)
            lines += [f"    {path}" for path in answer.files.values()]
            self._say(lines)
        self._progress.update(self._count, len(self._found.files), *self._figures())

    def _along(self, path: str, done: float, total: float) -> None:
        """Shows how far along one video its timeline is."""
        self._stop.check()
        if path != self._path:
            self._path, self._along_video = path, Progress("seconds")
        video = f"of {path}, video {self._count + 1} of {len(self._found.files)}"
        self._along_video.update(int(done), int(total), video, *self._figures())

    def _figures(self) -> list[str]:
        return [f"{self._failed} failed"] if self._failed else []

    def _head(self) -> list[str]:
        predictor = self._predictor
        kind = ""
        if predictor.preprocessing.multi_label:
            kind = " A video may be of any number of classes; each has a probability of its own."
        how = predictor.preprocessing.described()
        return [
            f"{self._options.weights}: {how}.{kind}", *(f"  {note}" for note in predictor.notes)
        ]  # fmt: skip

    def _end(self) -> list[str]:
        lines, total = [], len(self._found.files)
        if self._found.missing:
            lines.append("No video was found for:")
            lines += [f"  - {line}" for line in self._found.missing]
        if self._found.passed_over:
            many = self._found.passed_over
            lines.append(
                f"{many} other file{'s' * (many > 1)} passed over: no video by its suffix."
            )
        if self._failed or self._partly:
            lines.append(
                f"{self._failed} of {total} videos failed, {self._partly} could be read in part."
            )
        if self._count < total:
            lines.append(f"{total - self._count} of {total} videos were not asked about.")
        return lines

    def _value(self, stopped: StoppedError | None) -> dict:
        predictor = self._predictor
        value = {
            "weights": self._options.weights,
            "preprocessing": predictor.preprocessing.to_dict(),
            "class_names": list(predictor.class_names),
            "notes": list(predictor.notes),
            "answers": self._told,
            "failed": self._failed,
            "in_part": self._partly,
            "not_asked": len(self._found.files) - self._count,
            "passed_over": self._found.passed_over,
            "missing": list(self._found.missing),
        }
        if stopped is not None:
            value["error"] = {"exit_code": stopped.exit_code, "message": str(stopped)}
        return value

    def _say(self, lines: list[str]) -> None:
        if not self._options.json and lines:
            print("\n".join(lines), flush=True)

"""`python -m sightline_fetch`: one fetch from beginning to end."""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

from sightline_fetch.errors import FetchError, Stopped
from sightline_fetch.formats import WrongFormat, check_formats
from sightline_fetch.links import link_files
from sightline_fetch.listing import list_files
from sightline_fetch.probe import probe
from sightline_fetch.progress import Progress
from sightline_fetch.sources import Source
from sightline_fetch.standing import Standings
from sightline_fetch.target import Target
from sightline_fetch.transfer import Settings, Transfer
from sightline_fetch.wanted import Wanted, WantedFile, check_commit, check_repo, read_entry
from sightline_fetch.wire import Terms
from sightline_fetch.words import narrowed, parser, sources_of, terms_of


def main(arguments: list[str] | None = None, program: str = "sightline-fetch") -> int:
    """Run the command and return its exit code: 0 whole, 1 not whole, 2 wrong words, 130 interrupted."""
    chosen = parser(program).parse_args(arguments)
    try:
        return Fetch(chosen, terms_of(chosen)).run()
    except FetchError as problem:
        print(f"{program}: {problem}", file=sys.stderr)
        return 2 if problem.words else 1
    except (Stopped, KeyboardInterrupt):
        print(f"{program}: interrupted; the same command goes on from what is there.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1


class Fetch:
    """One run of the command."""

    def __init__(self, chosen: argparse.Namespace, terms: Terms) -> None:
        self._chosen, self._terms = chosen, terms
        self._style = "json" if chosen.json else "quiet" if chosen.quiet else ""
        if not self._style:
            self._style = "bars" if sys.stderr.isatty() else "lines"

    def run(self) -> int:
        """Returns the exit code. Raises FetchError, Stopped."""
        chosen = self._chosen
        wanted, self._sources = self._wanted()
        if chosen.check and not chosen.target.is_dir():
            raise FetchError(f"{chosen.target} is not there", "fetch it: the same command without --check")
        target = Target(chosen.target)
        try:
            whole = set() if chosen.verify else target.stamped(wanted)
            before = sum(file.size for file in wanted.files if file.path in whole)
            out = sys.stdout if self._style == "json" else sys.stderr
            progress = Progress(self._style, wanted.size, before, out)
            if chosen.check and not chosen.verify:
                return self._checked(wanted, whole, progress)
            whole |= self._verified(target, wanted, whole, progress)
            if chosen.check:
                return self._checked(wanted, whole, progress)
            whole |= self._linked(target, wanted, whole, progress)
            missing = [file for file in wanted.files if file.path not in whole]
            progress.tell(
                "plan",
                repo=wanted.repo,
                commit=wanted.commit,
                files=len(wanted.files),
                bytes=wanted.size,
                to_fetch=sum(file.size for file in missing),
                hashes_from=wanted.hashes_from,
            )
            failed = self._fetch(target, wanted, missing, progress) if missing else []
            if failed:
                said = "; ".join(f"{path}: {why}" for path, why in failed)
                remedy = "add another --source, or mend these, and run the same command again"
                raise FetchError(f"{len(failed)} of {len(wanted.files)} files did not come: {said}", remedy)
            self._check_formats(wanted)
            target.stamp(wanted)
            target.tidy(wanted)
            progress.tell("whole", target=str(chosen.target), files=len(wanted.files), bytes=wanted.size)
            return 0
        finally:
            target.close()

    def _wanted(self) -> tuple[Wanted, list[Source]]:
        chosen = self._chosen
        if bool(chosen.entry) == bool(chosen.repo):
            raise FetchError("say what to fetch", "give --entry FILE, or --repo and --revision", words=True)
        if chosen.entry:
            wanted = read_entry(chosen.entry)
        else:
            repo, commit = check_repo(chosen.repo), check_commit(chosen.revision)
            wanted = list_files(repo, commit, sources_of(chosen, None), self._terms)
        return narrowed(wanted, chosen.only), sources_of(chosen, wanted.folder)

    def _check_formats(self, wanted: Wanted) -> None:
        """Raises FetchError: the bytes are the wanted ones, but not those of a model that can be loaded."""
        try:
            check_formats(self._chosen.target, [file.path for file in wanted.files])
        except (WrongFormat, OSError) as problem:
            remedy = "correct the entry: what it names came as it says"
            raise FetchError(f"{self._chosen.target}: {problem}", remedy) from problem

    def _checked(self, wanted: Wanted, whole: set[str], progress: Progress) -> int:
        missing = [file.path for file in wanted.files if file.path not in whole]
        if missing:
            what = f"{len(missing)} of {len(wanted.files)} files are missing or changed: {', '.join(missing)}"
            raise FetchError(what, "fetch them: the same command without --check")
        progress.tell("whole", target=str(self._chosen.target), files=len(wanted.files), bytes=wanted.size)
        return 0

    def _verified(self, target: Target, wanted: Wanted, known: set[str], progress: Progress) -> set[str]:
        """Which of the files that lie there without a stamp are right; the others are set aside."""
        right = set()
        for file in wanted.files:
            if file.path in known or not target.is_there(file):
                continue
            progress.tell("checking", file=file.path, size=file.size)
            if target.is_right(file, lambda size: None):
                right.add(file.path)
            elif not self._chosen.check:
                kept = target.quarantine(file)
                progress.tell("quarantined", file=file.path, to=str(kept), sources=[])
        return right

    def _linked(self, target: Target, wanted: Wanted, whole: set[str], progress: Progress) -> set[str]:
        """The files that were linked to those of another model of this host."""
        if not self._chosen.link_from:
            return set()
        linked = link_files(target, wanted, whole, self._chosen.link_from)
        for file in wanted.files:
            if file.path in linked:
                progress.tell("linked", file=file.path, to=str(linked[file.path]), size=file.size)
        return set(linked)

    def _fetch(
        self, target: Target, wanted: Wanted, missing: list[WantedFile], progress: Progress
    ) -> list[tuple[str, str]]:
        """Returns the files that did not come, each with the reason."""
        chosen = self._chosen
        target.check_space(missing)
        standings = Standings(self._sources, chosen.tries)
        largest = max(missing, key=lambda file: file.size)
        if sum(not source.last for source in self._sources) > 1 and largest.size:
            probe(standings, wanted, largest, self._terms)
            for standing in [one for one in standings.all if not one.source.last]:
                facts = {"rate": standing.rate, "ranged": standing.ranged, "local": standing.source.local}
                progress.tell("probed", source=str(standing.source), problem=standing.said, **facts)
        settings = Settings(
            connections=chosen.connections,
            per_file=chosen.per_file,
            tries=chosen.tries,
            patience=chosen.patience,
            rate_limit=chosen.limit_rate,
            terms=self._terms,
        )
        transfer = Transfer(wanted, missing, standings, target, settings, progress.tell)

        def stop(number: int, frame: FrameType | None) -> None:
            transfer.stop.set()

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            transfer.run(lambda: progress.tick(transfer.jobs))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return [(job.file.path, job.problem) for job in transfer.jobs if job.state == "failed"]

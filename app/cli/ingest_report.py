"""What an ingest came to: what was published, and what was left out and why."""

import msgspec

from app.cli.output import say, show_table


class Published(msgspec.Struct, frozen=True):
    """A batch that a flow publishes; `status` is the flow's when it was last asked."""

    file: str
    patient: str
    records: int
    flow: str
    status: str


class LeftOut(msgspec.Struct, frozen=True):
    """A record, or where `entry` is None a whole file, that was not published. Nothing of its content is told."""

    file: str
    entry: int | None
    kind: str
    reason: str


class IngestReport(msgspec.Struct, frozen=True):
    """The whole run. `file` names are the operator's own: for a screen, not for a log."""

    published: tuple[Published, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was left out and no flow ended otherwise than done."""
        failed = any(each.status in {"FAILED", "KILLED"} for each in self.published)
        return not self.left_out and not failed


def show(report: IngestReport) -> None:
    """Print it for a person."""
    rows = [("file", "patient", "records", "flow")]
    rows += [(p.file, p.patient, str(p.records), p.status.lower()) for p in report.published]
    show_table("Published", rows)
    if report.left_out:
        bad = [("file", "entry", "resource", "why")]
        bad += [
            (each.file, "all" if each.entry is None else str(each.entry), each.kind, each.reason)
            for each in report.left_out
        ]
        show_table("Left out", bad)
    flows = {each.flow: each.records for each in report.published}  # the same records twice are one
    say(
        f"{sum(flows.values())} records in {len(flows)} transactions; {len(report.left_out)} left out"
    )

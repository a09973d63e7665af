"""One step of a reconciliation at work: the run of the sync's machinery, and what was found."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.db import transaction

from contacts.services.sync.sync_halves import TRIES, may_repeat
from contacts.services.sync.sync_run import Run
from drift.models import Difference, DriftRun
from drift.services.differences import New, Tally, close, record
from tenants.db.clash import turns

SYSTEM_NAME = "system"


class Work:
    """`auto`: kinds that are repaired by themselves."""

    def __init__(self, run: Run, drift_run: DriftRun, auto: frozenset[str]) -> None:
        self.run, self.drift_run, self.auto = run, drift_run, auto
        self.tally = Tally(run.at)

    def note(self, found: list[New], repaired: list[New] | None = None) -> None:
        """Write what was found, and which of it was repaired, in the caller's transaction."""
        open_ = record(self.run.brand, self.drift_run, self.run.corp, self.tally.room(found))
        if repaired:
            ids = [open_[key] for new in repaired if (key := (new.kind, new.key[:140])) in open_]
            close(ids, state=Difference.State.REPAIRED, by=SYSTEM_NAME)
            self.tally.repair(new.kind for new in repaired)

    def leave(self, kinds: Collection[str], keys: Sequence[str]) -> None:
        """What was open of these stays open: this run leaves them alone. In the caller's transaction."""
        if keys:
            rows = Difference.objects.filter(corp=self.run.corp, kind__in=kinds, key__in=keys)
            rows.filter(state=Difference.State.OPEN).update(last_run_id=self.drift_run.pk)

    def auto_of(self, found: list[New]) -> list[New]:
        return [new for new in found if new.kind in self.auto]

    def compared(self, n: int) -> dict[str, Any]:
        return self.run.counted(compared=n)

    def write(self, act: Callable[[], None]) -> None:
        """Differences, repairs and position in one transaction; once more where somebody else wrote the same rows."""
        run = self.run
        tallied = ({**self.tally.found}, {**self.tally.repaired})
        for turn in turns(TRIES, may_repeat):
            with turn, transaction.atomic():
                return act()
            run.at["found"], run.at["repaired"] = {**tallied[0]}, {**tallied[1]}
            self.tally = Tally(run.at)
            with transaction.atomic():
                run.job.refresh_from_db()
        return None

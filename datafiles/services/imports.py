"""An import from the mapping to its end: check (dry run), run, and what is kept of both.

Check and run are long jobs (org/services/jobs.py). Both read the whole file and judge it (services/judge.py); the run
then writes the plan in slices of 100,000 rows (services/lanes.py), each with its position in one commit, so a killed one
goes on where it was. Rows that somebody else has overtaken meanwhile are judged again in another round.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from contacts.services import positions
from datafiles.blocks import Prepared
from datafiles.blocks import prepare as prepare_text
from datafiles.kinds import kind_of
from datafiles.kinds.base import Task
from datafiles.layout import of_json
from datafiles.models import ImportFile
from datafiles.services import judge, lanes, places, plans, refused, uploads, xlsx
from datafiles.targets import Column
from datafiles.values import options_of
from org import audit
from org.access import Actor
from org.models import Job
from org.services import jobs
from scrm import clock
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand

CHECK, RUN = "file_check", "file_import"
ENDED = "ended"  # the part of a job of which only its own end is missing
WRITTEN = ("new", "changed", "joined", "planned", "waiting")  # counted again as they are written
BEFORE = (ImportFile.State.UPLOADED, ImportFile.State.CHECKED)


def task_of(brand: Brand, file: ImportFile) -> Task:
    """The file with its kind and columns, in the caller's transaction."""
    kind = kind_of(file.kind)
    known = {target.key: target for target in kind.targets(brand)}
    columns = {
        key: Column(known[key], entry["column"], entry)
        for key, entry in sorted(file.mapping.items(), key=lambda item: item[1]["column"])
        if key in known
    }
    return Task(brand, file, kind, columns, file.options)


@transaction.atomic
def set_mapping(
    brand: Brand, *, file: ImportFile, mapping: Mapping[str, Any], options: Mapping[str, Any]
) -> ImportFile:
    """What each column is, as a person says.

    Args:
        mapping: target → {"column": number, options of its type}.
        options: of the kind; those not named stay.

    Raises:
        InvalidError: unknown targets or columns, one column twice, nothing that says who a row is about.
    """
    _must_be(file, *BEFORE)
    kind = kind_of(file.kind)
    known = {target.key: target for target in kind.targets(brand)}
    clean: dict[str, dict[str, Any]] = {}
    for key, entry in mapping.items():
        number = entry.get("column") if isinstance(entry, Mapping) else None
        if key not in known or not isinstance(number, int) or not 0 <= number < len(file.headings):
            raise InvalidError(_("This column cannot be mapped like that"), fields={key: str(number)})
        allowed = options_of(known[key].type)
        clean[key] = {"column": number}
        for name, values in allowed.items():
            if entry.get(name, values[0]) not in values:
                raise InvalidError(_("This column cannot be mapped like that"), fields={key: name})
            clean[key][name] = entry.get(name, values[0])
    numbers = [entry["column"] for entry in clean.values()]
    if len(numbers) != len(set(numbers)):
        raise InvalidError(_("A column can be used once only"))
    for group in kind.needs:
        if not set(group) & set(clean):
            names = "、".join(str(known[key].label) for key in group)
            raise InvalidError(_("At least one of these columns is needed: %(names)s") % {"names": names})
    if unknown := set(options) - set(kind.options) - {"language"}:
        raise InvalidError(_("Unknown options: %(names)s") % {"names": ", ".join(sorted(unknown))})
    file.mapping = clean
    file.options = {**file.options, **options}
    file.state, file.checked = ImportFile.State.UPLOADED, {}
    kind.params(task_of(brand, file))  # raises what is missing
    file.save(update_fields=["mapping", "options", "state", "checked"])
    return file


def start_check(brand: Brand, *, file: ImportFile, by: Actor) -> Job:
    """The dry run, in the caller's transaction: nothing is written but counts and refusals."""
    _must_be(file, *BEFORE)
    return _start(brand, file, CHECK, _("Check of “%(name)s”"), by)


def start_import(brand: Brand, *, file: ImportFile, by: Actor) -> Job:
    """The import, in the caller's transaction. The mapping is remembered for the next file of this kind.

    Raises:
        ConflictError: done already, or a job of it is still going on.
    """
    _must_be(file, *BEFORE)
    kind = kind_of(file.kind)
    for group in kind.needs:
        if not set(group) & set(file.mapping):
            raise InvalidError(_("First say what the columns are"))
    uploads.remember(brand, file)
    audit.record(
        by, "import.start", file, after={"kind": file.kind, "checked": file.checked.get("counts", {})}
    )
    return _start(brand, file, RUN, _("Import of “%(name)s”"), by)


def _start(brand: Brand, file: ImportFile, kind: str, title: str, by: Actor) -> Job:
    if (
        file.job_id
        and Job.objects.filter(pk=file.job_id, state__in=["waiting", "running", "paused"]).exists()
    ):
        raise ConflictError(_("Something is still being done with this file"))
    if not places.source_of(file).is_file():
        raise InvalidError(_("The file is not there any more; upload it again"))
    name = file.name if len(file.name) <= 60 else "…" + file.name[-59:]
    job = jobs.start_job(
        brand, kind=kind, title=f"{title % {'name': name}} #{file.pk}", params={"file_id": file.pk}, by=by
    )
    file.job_id = job.pk
    file.save(update_fields=["job_id"])
    return job


def _must_rest(file: ImportFile) -> None:
    if (
        file.job_id
        and Job.objects.filter(pk=file.job_id, state__in=["waiting", "running", "paused"]).exists()
    ):
        raise ConflictError(_("Something is still being done with this file"))


def _must_be(file: ImportFile, *states: str) -> None:
    if file.state not in states:
        raise ConflictError(_("The file is already %(state)s") % {"state": file.get_state_display()})


def _load(brand: Brand, job: Job) -> Task:
    with transaction.atomic():
        file = ImportFile.objects.filter(pk=job.params["file_id"]).first()
        if file is None:
            raise NotFoundError()
        return task_of(brand, file)


# ---- steps


def check_step(brand: Brand, job: Job) -> bool:
    """One step: read the file once, then judge it."""
    _do(brand, job, {"prepare": _prepare, "judge": _check})
    return job.position.get("part") != ENDED


def run_step(brand: Brand, job: Job) -> bool:
    """One step: read the file, judge it, or write one slice of the plan."""
    _do(brand, job, {"prepare": _prepare, "judge": _begin_round, "slices": lanes.write, "finish": _finish})
    return job.position.get("part") != ENDED


def _do(brand: Brand, job: Job, parts: Mapping[str, Callable[[Task, Job], None]]) -> None:
    """The part at which the job stands. Stopped, or overtaken by another process, it leaves everything as it was."""
    if (part := job.position.get("part", "prepare")) == ENDED:
        return  # all is done but the job's own end
    task = _load(brand, job)
    with translation.override(task.file.options.get("language")), suppress(jobs.Stopped):
        parts[part](task, job)


def _check(task: Task, job: Job) -> None:
    counts = _judge(task, job)
    del counts["shared"]
    with transaction.atomic():
        jobs.hold(job)
        file = task.file
        file.checked = {"counts": counts, "at": clock.now().isoformat()}
        file.state = ImportFile.State.CHECKED
        file.save(update_fields=["checked", "state"])
        jobs.save_step(
            job,
            position={"part": ENDED},
            n_done=job.n_total or 0,
            n_bad=counts.get("refused", 0),
            stage="",
            result=counts,
        )


def _prepare(task: Task, job: Job) -> None:
    """The regular file; what was prepared for the check serves the run too."""
    prepared = prepared_of(task.file)
    if prepared is None:
        with transaction.atomic():
            jobs.save_step(job, stage=_("Reading the file"), n_total=None)
        prepared = prepare(task.file)
    first = of_json(task.file.layout).first_row
    with transaction.atomic():
        jobs.hold(job)
        ImportFile.objects.filter(pk=task.file.pk).update(n_rows=prepared.n_records - first + 1)
        jobs.save_step(
            job, position={"part": "judge"}, n_total=prepared.n_records - first + 1, stage=_("Comparing")
        )


def prepare(file: ImportFile) -> Prepared:
    """Read a file into its regular form and keep where that lies."""
    layout, folder = of_json(file.layout), places.import_folder(file)
    if not places.source_of(file).is_file():
        raise InvalidError(_("The file is not there any more; upload it again"))
    read = xlsx.prepare if layout.form == "xlsx" else prepare_text
    prepared = read(places.source_of(file), layout, folder / "rows.csv")
    values = asdict(prepared) | {"path": prepared.path.name}
    (folder / "prepared.json").write_text(json.dumps(values))
    return prepared


def prepared_of(file: ImportFile) -> Prepared | None:
    path = places.import_folder(file) / "prepared.json"
    if not path.is_file():
        return None
    values = json.loads(path.read_text())
    return Prepared(**values | {"path": path.with_name(values["path"])})


def _judge(task: Task, job: Job) -> dict[str, Any]:
    prepared = prepared_of(task.file)
    if prepared is None:
        raise InvalidError(_("The file is not there any more; upload it again"))
    folder = places.import_folder(task.file)
    with transaction.atomic():
        jobs.save_step(job, stage=_("Comparing"))
    counts = judge.judge(task, prepared, folder)
    counts["rows"] += prepared.n_bad  # an empty row stands in the place of each
    counts["refused"] = counts.get("refused", 0) + prepared.n_bad
    for reason, n in refused.broken(folder).items():
        counts["reasons"][reason] = n
    refused.write(task, folder)
    return counts


def _begin_round(task: Task, job: Job) -> None:
    number = job.position.get("round", 0) + 1
    counts = _judge(task, job)
    n_shared = counts.pop("shared")
    if number > 1:  # written in an earlier round is unchanged now
        result = {**job.result}
    else:
        result = {name: counts[name] for name in counts if name not in WRITTEN}
        result |= {"new": 0, "changed": 0}
    with transaction.atomic():
        jobs.hold(job)  # stopped while the file was compared: nothing is written, and it can begin anew
        file = task.file
        file.checked = {"counts": counts, "at": clock.now().isoformat()}
        task.kind.prepare(task)
        (places.import_folder(file) / "plan.tsv").replace(plans.of_round(file, number))
        place = lanes.of_plan(task, number, n_shared)
        if task.kind.has_places and counts.get("new"):
            place["first"] = positions.take(task.brand, max(counts["new"] + (n_shared or 0), 2))
        if number == 1:
            file.state = ImportFile.State.RUNNING
            file.save(update_fields=["state", "checked", "options"])
        jobs.save_step(
            job,
            position=place,
            result=result,
            n_total=counts["rows"],
            n_done=counts["rows"] - counts["planned"],
            n_bad=result.get("refused", 0),
            stage=_("Writing"),
        )


def _finish(task: Task, job: Job) -> None:
    task.kind.finish(task)
    file = task.file
    with transaction.atomic():
        jobs.hold(job)
        file.state, file.ended_at = ImportFile.State.DONE, clock.now()
        file.result = {
            **job.result,
            "seconds": round((clock.now() - (job.started_at or clock.now())).total_seconds(), 1),
        }
        file.save(update_fields=["state", "ended_at", "result"])
        by = Actor(file.created_by, file.user_id)
        shown = {name: n for name, n in file.result.items() if isinstance(n, int)}
        audit.record(by, "import.done", file, after=shown)
        jobs.save_step(job, position={"part": ENDED}, n_done=job.n_total or 0, stage="")


@transaction.atomic
def discard(brand: Brand, *, file: ImportFile, by: Actor) -> None:
    """Throw away a file that was not imported.

    Raises:
        ConflictError: imported, or a job of it is going on.
    """
    _must_be(file, *BEFORE)
    _must_rest(file)
    audit.record(by, "import.discard", file)
    folder = places.import_folder(file)
    file.delete()
    transaction.on_commit(lambda: places.remove(folder))


@transaction.atomic
def note_download(brand: Brand, *, file: ImportFile, by: Actor) -> None:
    """Refused rows hold people's data: who took them is logged."""
    audit.record(by, "import.refused", file)

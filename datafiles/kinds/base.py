"""What every kind of import tells the machinery beside it (datafiles/services/judge.py, plans.py)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from datafiles.models import ImportFile
from datafiles.targets import Column, Target
from datafiles.values import sql_type
from tenants.models import Brand


class Code(IntEnum):
    """What a row of a file would do. Numbers stand in plan files."""

    SAME = 0
    NEW = 1
    CHANGED = 2
    JOIN = 3  # two records of one person become one
    SKIPPED = 6  # not meant by this kind of file
    EMPTY = 7
    REPEATED = 8  # a later row is about the same and counts
    REFUSED = 9


PLANNED = (Code.NEW, Code.CHANGED, Code.JOIN)


@dataclass
class Task:
    """One file as it is to be imported."""

    brand: Brand
    file: ImportFile
    kind: "Kind"
    columns: dict[str, Column]  # by key of the target
    options: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)  # of SQL
    is_tidy: bool = False  # no cell has to be cleaned
    place: int | None = None  # position of the first new contact of a slice

    def has(self, *keys: str) -> bool:
        return any(key in self.columns for key in keys)


@dataclass(frozen=True)
class Judgement:
    """How rows are compared with what is there, as parts of one statement over `t`, the typed rows of the file (`n`,
    the targets' values, and for each its text as `v_<key>`).

    Attributes:
        joins: SQL after `FROM … t`.
        extra: further columns of the plan: name → (type, expression).
        code: expression of Code.
        reasons: (condition, key of reasons.py) further to those of the types.
        who: expression of what makes two rows one, text; NULL for rows that are never one.
        counts: name → condition on the judged rows, counted for people.
        order: of the plan, as the rows lie in their table: what is written together then lies together. New ones come before
            changed ones, except where rows have a `group`; those of one group stay in one slice.
        order_of_new: the same where all are new.
        group: expression.
        wrap: a subquery around `{typed}` for what needs all rows (numbers of repeats).
        whole: a column of the judged rows; all rows with the value of a planned one are planned.
        named: query of `n` and a number `h` for each id of nobody that a planned row names: rows with the same number may be
            about the same person, and are written by one connection, one after the other. "": there are no such rows. None:
            rows hang on others in other ways as well, and must not be judged or written side by side at all.
        is_read: condition on `t` of rows that are meant by this kind at all; others are passed over, whatever they hold.
        same_is_fine: rows that say the same twice are counted as known, not as refused.
    """

    joins: str
    code: str
    extra: dict[str, tuple[str, str]] = field(default_factory=dict)
    reasons: Sequence[tuple[str, str]] = ()
    who: str = "NULL"
    counts: dict[str, str] = field(default_factory=dict)
    order: str = ""
    order_of_new: str = ""
    group: str = ""
    wrap: str = "{typed}"
    whole: str = ""
    named: str | None = None
    is_read: str = "true"
    same_is_fine: bool = False


@dataclass
class Done:
    """What a slice has done."""

    new: int = 0
    changed: int = 0
    same: int = 0
    waiting: int = 0
    late: int = 0  # overtaken by somebody else: judged again in the next round
    notes: dict[str, int] = field(default_factory=dict)

    def as_counts(self) -> dict[str, int]:
        plain = {
            "new": self.new,
            "changed": self.changed,
            "waiting": self.waiting,
            "late": self.late,
            **self.notes,
        }
        return {name: n for name, n in plain.items() if n}


@dataclass(frozen=True)
class Kind:
    """
    Attributes:
        targets: what columns can become, for this brand.
        needs: groups of targets of which each file must have at least one.
        judge: how rows are compared.
        quick: SQL that gives the rows (`n`) that may not be as they are in the file already, or "" when there is none;
            an optimisation: those that it leaves out must be unchanged. Of the rows of the table `source`, `stage` if none
            is named.
        known: query of what `quick` compares with: where there is less of it than a part of the file, it would be in vain.
        kin: SQL of rows (`n`) that may be about the same as those in the temporary table `odd`.
        open: makes temporary tables that `judge` and `apply` name, at the start of their transactions.
        look: further findings of the check, in its transaction, when `judged` is there.
        apply: writes the rows of the temporary table `rows` (the plan's columns), in the caller's transaction.
        prepare: before the first slice of a round, in the caller's transaction (tags that have to be made …).
        finish: after the last slice, outside of transactions.
        undo: takes back a part; gives how many rows, how many were left and why. See services/undo.py.
        ids_of: table of which each row of a plan gets an id, `new_id`, when it is read; rows in groups get none.
        has_places: a new row becomes a contact with a position; `apply` finds the slice's first one in `task.place`.
        tables: that `apply` makes a row of for each new row of the file, at least.
        options: keys that a person may set: name → default.
        page: (address, words) of where to go on when it is imported.
    """

    key: str
    label: Any
    icon: str
    hint: Any
    targets: Callable[[Brand], list[Target]]
    needs: Sequence[tuple[str, ...]]
    judge: Callable[[Task], Judgement]
    apply: Callable[[Task, Any], Done]
    quick: Callable[..., str] = lambda task, source="": ""
    known: Callable[[Task], str] = lambda task: "SELECT 1 WHERE false"
    kin: Callable[[Task], str] = lambda task: ""
    open: Callable[[Task, Any], None] = lambda task, cursor: None
    look: Callable[[Task, Any], dict[str, Any]] = lambda task, cursor: {}
    prepare: Callable[[Task], None] = lambda task: None
    finish: Callable[[Task], None] = lambda task: None
    ids_of: str = ""
    has_places: bool = False
    tables: Sequence[str] = ()
    options: dict[str, Any] = field(default_factory=dict)
    page: Callable[[ImportFile], tuple[str, Any]] | None = None
    params: Callable[[Task], dict[str, Any]] = lambda task: {}


def plan_columns(task: Task, judgement: Judgement) -> dict[str, str]:
    """Columns of the plan with their types, in order."""
    found = {"n": "integer", "code": "smallint"}
    found |= {name: kind for name, (kind, _) in judgement.extra.items()}
    found |= {key: sql_type(column) for key, column in task.columns.items()}
    return found

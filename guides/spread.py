"""Who gets how many numbers: evenly, with a bound, among those who may. Pure."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wanted:
    """A number that waits: for whom the list means it, and of which store it is."""

    id: int
    guide: int | None = None
    store: int | None = None


@dataclass
class Shares:
    """Guide → ids; `left` found nobody with room."""

    of: dict[int, list[int]] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)

    @property
    def n(self) -> int:
        return sum(map(len, self.of.values()))


def spread(
    rows: Sequence[Wanted],
    guides: Mapping[int, int | None],
    *,
    by_store: bool = False,
    most: int | None = None,
    has: Mapping[int, int] | None = None,
    meant: Collection[int] = (),
) -> Shares:
    """Give each row to the guide who has got the fewest so far.

    Args:
        guides: guide → store.
        by_store: a row of a store goes to guides of that store only.
        most: so many for each guide at the most.
        has: what guides have already; of equal ones who has less comes first.
        meant: further guides, who get only what the list means for them.
    """
    has, found = has or {}, Shares()
    given = dict.fromkeys([*guides, *meant], 0)

    def room(guide: int) -> bool:
        return most is None or given[guide] < most

    def give(guide: int, row: Wanted) -> None:
        found.of.setdefault(guide, []).append(row.id)
        given[guide] += 1

    rest = []
    for row in rows:  # first those for whom the list names somebody: they count in what is even
        if row.guide in given and row.guide is not None:
            if room(row.guide):
                give(row.guide, row)
            else:
                found.left.append(row.id)
        else:
            rest.append(row)
    heaps: dict[int | None, list[tuple[int, int, int]]] = {}
    for row in rest:
        pool = row.store if by_store else None
        if pool not in heaps:
            able = [guide for guide, store in guides.items() if pool is None or store == pool]
            heaps[pool] = [(given[guide], has.get(guide, 0), guide) for guide in able]
            heapq.heapify(heaps[pool])
        heap = heaps[pool]
        while heap:
            n, before, guide = heap[0]
            if n != given[guide]:  # has got some through another pool meanwhile
                heapq.heapreplace(heap, (given[guide], before, guide))
            elif not room(guide):
                heapq.heappop(heap)
            else:
                give(guide, row)
                heapq.heapreplace(heap, (given[guide], before, guide))
                break
        else:
            found.left.append(row.id)
    return found

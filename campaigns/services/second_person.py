"""Four eyes: whether somebody is one of those who have written or submitted what is to be approved."""

from org.access import Actor


def is_own(by: Actor, *makers: tuple[str, int | None]) -> bool:
    """Whether `by` is one of the makers, given as (name, id of the user or None). Names are compared only where an id is
    not known (an API key, the system, rows of old): two people may have the same one, and one may change it."""
    for name, user_id in makers:
        if user_id is not None and by.user_id is not None:
            if user_id == by.user_id:
                return True
        elif name and name == by.name:
            return True
    return False

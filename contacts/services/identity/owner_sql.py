"""Whose a number is, in SQL: the one way to look identities up from the rows of another table."""


def whose(kind: str, scope: str, value: str, *, brand: str = "%(brand)s", given: str = "") -> str:
    """A sub-select for LATERAL or a value: `contact_id` of the one whose identity this is, or nothing.

    Each row is looked up by its number (OFFSET 0), never joined: of a brand or a kind of number that Postgres has not met when
    it took statistics it believes that there is one row, and would read all of them for each row of the other table.

    Args:
        kind: SQL of the kind, as scope and value; columns are named with their table.
        brand: SQL of the brand's id.
        given: further SQL that has to hold, of the other table's row.
    """
    return (
        f"(SELECT held.contact_id FROM contacts_identity held WHERE held.brand_id = (SELECT {brand})"  # noqa: S608
        f" AND held.kind = {kind} AND held.scope = {scope} AND held.value = {value}"
        f"{f' AND {given}' if given else ''} OFFSET 0)"
    )


def whose_phone(phone: str, *, brand: str = "%(brand)s") -> str:
    """The same for a phone number."""
    return whose("'phone'", "''", phone, brand=brand)

"""Whose a number of a list is, in SQL: `c` is the contact, with `id`, `n_follows` and `do_not_contact`; NULL for nobody."""

from contacts.services.identity.owner_sql import whose_phone

# who is a customer of any guide, or does not want to be contacted, is not asked
IS_KNOWN = "(c.n_follows > 0 OR c.do_not_contact)"
STATE = f"CASE WHEN {IS_KNOWN} THEN 'known' ELSE 'waiting' END"


def who(phone: str) -> str:
    """Joins behind a table with numbers, one by one as in `whose`."""
    return (
        f"LEFT JOIN LATERAL {whose_phone(phone)} i ON true LEFT JOIN LATERAL ("  # noqa: S608
        "SELECT p.id, p.n_follows, p.do_not_contact FROM contacts_contact p"
        " WHERE p.brand_id = (SELECT %(brand)s) AND p.id = i.contact_id OFFSET 0) c ON true"
    )

"""Variables in texts of mass sends (content/variables.py): one content for all receivers, so they can speak of the
guide and the brand, never of the customer."""

from content import variables
from org.models import Staff
from tenants.models import Brand

NAMES = tuple(name for name, variable in variables.VARIABLES.items() if not variable.of_customer)


def check_text(text: str) -> None:
    """Whether every variable can be filled in and the text stays within WeCom's 4,000 bytes.

    Raises:
        InvalidError: says which variable, and why not.
    """
    variables.check(text, personal=False)


def names_in(text: str) -> list[str]:
    """Names of the variables in a text, in order, repeats included."""
    return variables.names_in(text)


def fill_in(text: str, *, brand: Brand, staff: Staff) -> str:
    """The text as one guide sends it. The staff's store has to be loaded."""
    return variables.render(text, variables.values_for(brand=brand, staff=staff))

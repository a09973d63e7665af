"""Template tags of the page frame and its components (a builtin of every template)."""

from typing import Any

from django import template
from django.db.models.fields import BLANK_CHOICE_DASH
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, RadioSelect, Select
from django.template.loader_tags import BLOCK_CONTEXT_KEY
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

register = template.Library()

# state → look of its badge; one table for all models, so that 'failed' is red everywhere
STATE_LOOKS = {
    **dict.fromkeys(["active", "on", "ok", "done", "live", "delivered", "sent", "yes"], "ok"),
    **dict.fromkeys(["waiting", "running", "calling", "handed", "new", "planned", "pending"], "info"),
    **dict.fromkeys(["paused", "retry", "suspended", "disabled", "blocked", "warning"], "warn"),
    **dict.fromkeys(["failed", "dead", "refused", "closed", "error", "lost", "bad"], "bad"),
}


class RepeatBlock(template.Node):
    def __init__(self, name: str) -> None:
        self.name = name

    def render(self, context: Any) -> str:
        blocks = context.render_context.get(BLOCK_CONTEXT_KEY)
        block = blocks.get_block(self.name) if blocks else None
        if block is None:
            return ""
        with context.push():
            return block.nodelist.render(context)


@register.tag
def repeat_block(parser: Any, token: Any) -> RepeatBlock:
    """`{% repeat_block "title" %}`: the words of a block once more, which `{% block %}` itself forbids."""
    return RepeatBlock(token.split_contents()[1].strip("\"'"))


@register.simple_tag
def badge(label: Any, state: Any = "", look: str = "") -> SafeString:
    """A small label: `{% badge job.get_state_display job.state %}`; `look` overrides the table."""
    look = look or STATE_LOOKS.get(str(getattr(state, "value", state)).lower(), "muted")
    return format_html('<span class="tag tag-{}"><i class="tag-dot"></i>{}</span>', look, label)


@register.simple_tag
def widget(field: BoundField, **attrs: Any) -> SafeString:
    """A form field's widget with the classes of the design and the links between field, help and errors."""
    inner = field.field.widget
    if isinstance(inner, (RadioSelect, CheckboxSelectMultiple)):
        return field.as_widget(attrs=attrs)
    if getattr(field.field, "empty_label", None) == BLANK_CHOICE_DASH[0][1]:  # Django's row of dashes
        field.field.empty_label = _("Choose…") if field.field.required else "—"  # type: ignore[attr-defined]
    name = "form-control"
    if isinstance(inner, Select):
        name = "form-select"
    elif isinstance(inner, CheckboxInput):
        name = "form-check-input"
    elif getattr(inner, "input_type", "") == "color":
        name = "form-control form-control-color"
    classes = [
        inner.attrs.get("class", ""),
        name,
        attrs.pop("class", ""),
        "is-invalid" if field.errors else "",
    ]
    if field.errors:
        attrs["aria-invalid"] = "true"
    return field.as_widget(attrs={**attrs, "class": " ".join(c for c in classes if c)})


@register.filter
def doer(name: Any) -> str:
    """Who did something: a name as it was written down, `system` in words, a dash for nobody."""
    return _("the system") if name == "system" else str(name or "—")


@register.simple_tag
def initials(name: Any) -> str:
    """One or two letters that stand for a person: the last Chinese characters or the words' first letters."""
    text = str(name or "").strip()
    if not text:
        return "?"
    if any("\u4e00" <= c <= "\u9fff" for c in text):
        return text[-2:] if len(text) > 2 else text[-1:]
    words = text.split()
    return (words[0][0] + (words[1][0] if len(words) > 1 else "")).upper()


@register.simple_tag
def share(part: Any, whole: Any) -> str:
    """A part as a CSS percentage between 0% and 100%."""
    return f"{min(100.0, max(0.0, 100 * (part or 0) / whole)):.1f}%" if whole else "0%"


@register.simple_tag(takes_context=True)
def query_with(context: dict, name: str, value: Any) -> str:
    """`{% query %}` for a parameter whose name is a variable."""
    params = context["request"].GET.copy()
    params.pop("after", None)
    params[name] = str(value)
    return "?" + params.urlencode()


@register.filter
def get(mapping: Any, key: Any) -> Any:
    """A value of a dict by a variable key; None when it is not there."""
    return mapping.get(key) if mapping else None

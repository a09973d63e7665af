"""标签, bitmaps: one module for each topic; import the models from here."""

from tagging.models.bits import BITS, Dim, DimBits, Flag
from tagging.models.tags import ContactTag, Tag, TagGroup

__all__ = ["BITS", "ContactTag", "Dim", "DimBits", "Flag", "Tag", "TagGroup"]

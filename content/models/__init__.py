"""Tables of the content library, by topic."""

from content.models.answers import FormAnswer
from content.models.intercepts import InterceptReading, InterceptRule
from content.models.library import Content, ContentPolicy, ContentVersion, Folder
from content.models.links import LinkDay, LinkPerson, TrackedLink, Via, Visit
from content.models.posters import Poster
from content.models.words import SensitiveWord

__all__ = [
    "Content",
    "ContentPolicy",
    "ContentVersion",
    "Folder",
    "FormAnswer",
    "InterceptReading",
    "InterceptRule",
    "LinkDay",
    "LinkPerson",
    "Poster",
    "SensitiveWord",
    "TrackedLink",
    "Via",
    "Visit",
]

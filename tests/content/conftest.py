"""Content of a brand, made through the services."""

import io
from typing import Any

import pytest
from PIL import Image

from content.models import Content
from content.services import editing
from content.services.editing import ContentInput
from org.access import RIGHTS, Actor
from tenants.models import Brand
from tests.factories import in_brand
from wecom.models import MediaFile
from wecom.services import media

MAKER = Actor("小编", user_id=11, rights=frozenset(RIGHTS))
CHECKER = Actor("主管", user_id=12, rights=frozenset(RIGHTS))


def make_content(
    brand: Brand, name: str = "早安", text: str = "早上好", by: Actor = MAKER, **over: Any
) -> Content:
    return editing.create_content(brand, given=ContentInput(name=name, text=text, **over), by=by).content


class Upload(io.BytesIO):
    name = "picture.png"


def make_picture(brand: Brand, size: tuple[int, int] = (40, 30), color: str = "red") -> MediaFile:
    data = Upload()
    Image.new("RGB", size, color).save(data, "PNG")
    data.seek(0)
    return media.save_upload(brand, file=data, kind="image")


@pytest.fixture
def content(brand: Brand) -> Content:
    with in_brand(brand):
        return make_content(brand)

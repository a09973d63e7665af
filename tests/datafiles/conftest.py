"""`bring(kind, text, …)`: a file uploaded, mapped and imported as the pages do it, in a media folder of the test's own."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from datafiles.models import ImportFile
from datafiles.services import imports, uploads
from org.access import SYSTEM
from org.models import Job
from tenants.models import Brand
from tenants.scoping import tenant_scope


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def put(brand: Brand) -> Any:
    """`put(kind, content)` uploads text or bytes and gives the ImportFile."""

    def upload(
        kind: str, content: str | bytes, name: str = "file.csv", of: Brand | None = None
    ) -> ImportFile:
        data = content.encode() if isinstance(content, str) else content
        with tenant_scope(of or brand):
            return uploads.receive(of or brand, kind=kind, name=name, data=io.BytesIO(data), by=SYSTEM)

    return upload


@pytest.fixture
def check(brand: Brand) -> Any:
    """The dry run of a file; gives its counts."""

    def run(file: ImportFile, of: Brand | None = None) -> dict[str, Any]:
        with tenant_scope(of or brand):
            with transaction.atomic():
                job = imports.start_check(of or brand, file=file, by=SYSTEM)
            with transaction.atomic():
                job.refresh_from_db()
                file.refresh_from_db()
        assert job.state == Job.State.DONE, job.error
        return file.checked["counts"]

    return run


@pytest.fixture
def bring(brand: Brand, put: Any) -> Any:
    """A file through to its end; gives the ImportFile with its `result`."""

    def run(
        kind: str, content: str | bytes, *, mapping: Any = None, options: Any = None, name: str = "file.csv",
        of: Brand | None = None,
    ) -> ImportFile:  # fmt: skip
        file = put(kind, content, name, of)
        with tenant_scope(of or brand):
            if mapping is not None or options is not None:
                imports.set_mapping(
                    of or brand, file=file, mapping=mapping or file.mapping, options=options or {}
                )
            with transaction.atomic():
                job = imports.start_import(of or brand, file=file, by=SYSTEM)
            with transaction.atomic():
                job.refresh_from_db()
                file.refresh_from_db()
        assert job.state == Job.State.DONE, job.error
        return file

    return run

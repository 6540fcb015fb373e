"""Uploads: which URL was given to whom. The bytes are in the object store under `blob_name`."""

from datetime import timedelta
from uuid import UUID, uuid4

from storage import naming
from storage.database import Database
from storage.tables import Upload, now


def create(database: Database, account_id: UUID, extension: str, *, seconds: int) -> Upload:
    """Notes that this account may upload one file.

    Args:
        extension: a normal one, see `storage.naming.normal_extension`.
        seconds: that its URL is valid.
    """
    upload = Upload(
        blob_name=naming.upload_key(uuid4(), extension),
        account_id=account_id,
        expires_at=now() + timedelta(seconds=seconds),
    )
    with database.write() as session:
        session.add(upload)
    return upload


def get(database: Database, account_id: UUID, blob_name: str) -> Upload | None:
    """The account's upload of this name, or None: never made, or made by another account."""
    with database.read() as session:
        upload = session.get(Upload, blob_name)
    return upload if upload is not None and upload.account_id == account_id else None


def is_open(database: Database, blob_name: str) -> bool:
    """Whether bytes may still be received for this name: it was given out, and no job reads it yet."""
    with database.read() as session:
        upload = session.get(Upload, blob_name)
    return upload is not None and upload.submitted_at is None

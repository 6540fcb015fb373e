"""The object store on any S3 server, through the `minio` client. Clients talk to that server itself, through signed URLs.

Objects written, in one bucket: `videos/...` by clients' PUTs, `jobs/...` by us (see `storage.naming`).

Permissions needed: s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListMultipartUploadParts on the
bucket's objects, s3:ListBucket and s3:ListBucketMultipartUploads on the bucket; s3:CreateBucket only with `create_bucket`. The
bucket must be private, and must not keep old versions, or what was deleted stays in it.

Consistency assumed: what was written, copied or deleted is seen by the next read and list, and an object is never seen half
written. Nothing else is relied on: no conditional writes, tags, notifications or policies. A process that is killed in the middle
of a large write leaves parts in the server; `sweep` removes them, and so does a lifecycle rule on incomplete multipart uploads.

A signed PUT fixes neither size nor type: look at `stat` before using what came. Signed URLs name the public endpoint, which must
be the same server under the host name that clients use, since that name is signed.
"""

import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

from minio import Minio
from minio.commonconfig import ComposeSource, CopySource
from minio.datatypes import ListMultipartUploadsResult, Object
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from storage.drafts import READ_BYTES, new_file
from storage.naming import checked_folder, checked_key, checked_prefix, content_disposition
from storage.objects import BINARY, Entry, ObjectInfo, ObjectMissing, StoreUnavailable
from tasks.errors import BadOption

PART_BYTES = 16 << 20  # 10,000 parts: objects up to 156 GiB; a write holds a few parts in memory
COPY_BYTES = 5 << 30  # one request may copy so much, and not every server can copy in parts
CONNECT_SECONDS, READ_SECONDS = 5, 300  # a server may be silent while it copies or puts parts together
PROBE_SECONDS = 5  # whoever asks for readiness doesn't wait for longer
_MISSING = ("NoSuchKey", "NoSuchObject", "NoSuchUpload", "NotFound")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")


class S3Store:
    """`storage.objects.ObjectStore` on an S3 server. Connects to nothing until it is used; safe to share between threads.

    Args:
        endpoint: where we reach the server: a URL, or `host:port` for https.
        public_endpoint: where clients reach it; empty: the same.
        region: the bucket's region, never looked up; empty: us-east-1.
        bucket: the bucket's name.
        create_bucket: whether `check` makes a bucket that is missing.
        copy_bytes: how much one request may copy; larger objects are copied in parts. At least 10 MiB.

    Raises:
        BadOption: an argument is missing or can't be used.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        region: str = "",
        public_endpoint: str = "",
        create_bucket: bool = False,
        copy_bytes: int = COPY_BYTES,
    ):
        if not access_key or not secret_key:
            raise BadOption("The S3 store needs SPLATFLOW_S3_ACCESS_KEY and SPLATFLOW_S3_SECRET_KEY.")
        if not _BUCKET.fullmatch(bucket):
            raise BadOption(f"SPLATFLOW_S3_BUCKET is {bucket!r}, which can't be the name of a bucket.")
        self._host, secure = _host(endpoint, "SPLATFLOW_S3_ENDPOINT")
        self.bucket, self._create_bucket, self._copy_bytes = bucket, create_bucket, copy_bytes
        self._region = region or "us-east-1"
        public, public_secure = _host(public_endpoint or endpoint, "SPLATFLOW_S3_PUBLIC_ENDPOINT")

        def client(host: str, secure: bool, http: PoolManager) -> Minio:
            return Minio(host, access_key, secret_key, secure=secure, region=self._region, http_client=http)

        self._client = client(self._host, secure, _pool(READ_SECONDS, retries=2))
        self._probe = client(self._host, secure, _pool(PROBE_SECONDS, retries=0))
        self._signer = client(public, public_secure, _pool(PROBE_SECONDS, retries=0))  # sends nothing

    def put_file(self, key: str, path: Path, *, content_type: str = BINARY) -> None:
        with self._errors(checked_key(key)):
            self._client.fput_object(self.bucket, key, str(path), content_type, part_size=PART_BYTES)

    def put_bytes(self, key: str, data: bytes, *, content_type: str = BINARY) -> None:
        with self._errors(checked_key(key)):
            self._client.put_object(
                self.bucket, key, BytesIO(data), len(data), content_type=content_type, part_size=PART_BYTES
            )

    def get_file(self, key: str, path: Path) -> None:
        with closing(self._pieces(key)) as pieces:
            first = next(pieces, b"")  # before the file is touched: a missing object leaves nothing behind
            with new_file(path) as draft:
                draft.write(first)
                for data in pieces:
                    draft.write(data)

    def get_bytes(self, key: str) -> bytes:
        return b"".join(self._pieces(key))

    def stat(self, key: str) -> ObjectInfo | None:
        found = self._head(checked_key(key))
        return None if found is None else ObjectInfo(bytes=found.size or 0)

    def copy(self, source: str, target: str) -> None:
        found = self._head(checked_key(source))
        if found is None:
            raise ObjectMissing(source)
        if checked_key(target) == source:  # servers refuse that
            return
        with self._errors(source):
            if (found.size or 0) <= self._copy_bytes:
                self._client.copy_object(self.bucket, target, CopySource(self.bucket, source))
                return
            parts = [
                ComposeSource(self.bucket, source, offset=start, length=end - start)
                for start, end in ranges(found.size or 0, self._copy_bytes)
            ]
            kind = found.content_type or BINARY  # a copy in parts keeps no metadata by itself
            self._client.compose_object(self.bucket, target, parts, metadata={"Content-Type": kind})
        made = self.stat(target)
        if made is None or made.bytes != found.size:  # some servers take a copied part for an empty one
            self.delete([target])
            raise StoreUnavailable(f"The object store at {self._host} can't copy objects of {found.size} bytes.")

    def delete(self, keys: Iterable[str]) -> None:
        wanted = [DeleteObject(checked_key(key)) for key in keys]
        with self._errors(""):
            failed = [error for error in self._client.remove_objects(self.bucket, wanted) if error.code not in _MISSING]
        if failed:
            raise self._refused(failed[0].code)

    def keys(self, prefix: str) -> Iterator[str]:
        return (key for key, _ in self.sizes(prefix))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        return ((entry.key, entry.bytes) for entry in self.entries(prefix))

    def entries(self, prefix: str) -> Iterator[Entry]:
        with self._errors(checked_prefix(prefix)):
            for found in self._client.list_objects(self.bucket, prefix=prefix, recursive=True):
                if found.object_name and not found.is_dir:
                    # One that doesn't say when it was written is taken for new, so that nobody thinks it old.
                    written_at = found.last_modified or datetime.now(UTC)
                    yield Entry(key=found.object_name, bytes=found.size or 0, written_at=written_at)

    def sweep(self, *, older_than: timedelta, dry_run: bool = False) -> tuple[int, int]:
        """See `ObjectStore`: uploads in parts that nobody completed, of as many as one answer names. `minio` has no public call for
        them, and its own one asks for an empty prefix, to which not every server finds any.
        """
        count = size = 0
        with self._errors(""):
            try:
                answer = self._client._execute("GET", self.bucket, query_params={"uploads": ""})
            except (S3Error, InvalidResponseError) as error:
                if _code(error) != "NoSuchUpload":  # what rclone's server says when it never had one
                    raise
                return 0, 0
            for begun in ListMultipartUploadsResult(answer).uploads:
                key, upload_id, since = begun.object_name, begun.upload_id, begun.initiated_time
                if not key or not upload_id or since is None or since > datetime.now(UTC) - older_than:
                    continue
                with suppress(ObjectMissing), self._errors(key):  # it has ended meanwhile
                    parts = self._client._list_parts(self.bucket, key, upload_id).parts
                    if not dry_run:
                        self._client._abort_multipart_upload(self.bucket, key, upload_id)
                    count, size = count + 1, size + sum(part.size or 0 for part in parts)
        return count, size

    def delete_prefix(self, prefix: str) -> int:
        found = list(self.keys(checked_folder(prefix)))
        self.delete(found)
        return len(found)

    def signed_put(self, key: str, *, seconds: int, base_url: str) -> str:
        """See `ObjectStore`; `base_url` is not used, since clients send to the public endpoint."""
        return self._signer.presigned_put_object(self.bucket, checked_key(key), timedelta(seconds=seconds))

    def signed_get(
        self, key: str, *, seconds: int, base_url: str, file_name: str | None = None, content_type: str | None = None
    ) -> str:
        """See `ObjectStore`; `base_url` is not used, since clients fetch from the public endpoint."""
        headers: dict[str, str | list[str] | tuple[str]] = {}
        if file_name is not None:
            headers["response-content-disposition"] = content_disposition(file_name)
        if content_type is not None:
            headers["response-content-type"] = content_type
        return self._signer.presigned_get_object(
            self.bucket, checked_key(key), timedelta(seconds=seconds), response_headers=headers
        )

    def check(self) -> None:
        with self._errors(""):
            if self._probe.bucket_exists(self.bucket):
                return
            if self._create_bucket:
                try:
                    self._probe.make_bucket(self.bucket, self._region)
                except S3Error as error:
                    if error.code != "BucketAlreadyOwnedByYou":  # another process was faster
                        raise
                return
        raise StoreUnavailable(f"The object store at {self._host} has no bucket {self.bucket}; create it.")

    def _head(self, key: str) -> Object | None:
        try:
            with self._errors(key):
                return self._client.stat_object(self.bucket, key)
        except ObjectMissing:
            return None

    def _pieces(self, key: str) -> Generator[bytes, None, None]:
        with self._errors(checked_key(key)):
            response = self._client.get_object(self.bucket, key)
            try:
                yield from response.stream(READ_BYTES)  # a connection that ends early is an error: urllib3 counts
            finally:
                response.close()
                response.release_conn()

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Turns the client's errors into the store's. Their own texts aren't kept: they quote requests and answers."""
        try:
            yield
        except (S3Error, InvalidResponseError, ServerError) as error:
            code = _code(error)
            if key and code in _MISSING:
                raise ObjectMissing(key) from None
            raise self._refused(code) from None
        except (MinioException, HTTPError, ParseError) as error:
            raise StoreUnavailable(
                f"The object store at {self._host} can't be reached or broke off ({type(error).__name__})."
            ) from None

    def _refused(self, code: str | None) -> StoreUnavailable:
        word = re.sub(r"[^A-Za-z0-9 ]", "", code or "")[:60] or "no reason given"
        return StoreUnavailable(f"The object store at {self._host} refused a request on bucket {self.bucket}: {word}.")


def _code(error: MinioException) -> str | None:
    if isinstance(error, S3Error):
        return error.code
    # minio parses an answer only when it calls itself application/xml, which not every server's errors do.
    found = re.search(r"<Code>\s*(\w+)\s*</Code>", str(error)) or re.search(r"code:? (\d{3})\b", str(error))
    return None if found is None else f"HTTP {found[1]}" if found[1].isdigit() else found[1]


def ranges(size: int, limit: int) -> list[tuple[int, int]]:
    """(start, end) of the fewest parts of at most `limit` bytes each, as even as can be: a small last part would be refused."""
    count = -(-size // limit)
    return list(pairwise(size * part // count for part in range(count + 1)))


def _pool(read_seconds: float, *, retries: int) -> PoolManager:
    return PoolManager(
        timeout=Timeout(connect=CONNECT_SECONDS, read=read_seconds),
        maxsize=16,
        # A Retry-After could hold a request for longer than its caller lives.
        retries=Retry(
            total=retries, backoff_factor=0.3, status_forcelist=(500, 502, 503, 504), respect_retry_after_header=False
        ),
    )


def _host(endpoint: str, setting: str) -> tuple[str, bool]:
    """Host with port, and whether TLS is spoken there."""
    try:
        url = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        usable = bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if (
        not usable
        or url.scheme not in ("http", "https")
        or url.username is not None
        or url.path.strip("/")
        or url.query
        or url.fragment
    ):
        raise BadOption(
            f"{setting} must be a URL such as https://s3.example.org:9000, with neither a path nor keys in it."
        )
    return url.netloc, url.scheme == "https"

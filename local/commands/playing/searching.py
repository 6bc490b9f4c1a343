"""Every byte of a stack's store: which places hold a text, whatever the product says of them."""

from collections.abc import AsyncIterator, Sequence

from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient

from local.stack import LocalAzure


async def places_holding(
    azure: LocalAzure, texts: Sequence[str], *, tables: str = "", without: Sequence[str] = ()
) -> list[str]:
    """Give the rows and blobs that hold one of the texts, in any letter case.

    Args:
        azure: the running stack.
        texts: what is looked for, in all of its spellings.
        tables: look at tables and containers whose names begin so only.
        without: containers that are left out.
    """
    wanted = [text.lower().encode() for text in texts]
    found = []
    async for place, content in _everything(azure, tables, without):
        if any(text in content.lower() for text in wanted):
            found.append(place)
    return found


async def _everything(
    azure: LocalAzure, prefix: str, without: Sequence[str]
) -> AsyncIterator[tuple[str, bytes]]:
    connection = azure.settings["DataStorageConnection"]
    async with TableServiceClient.from_connection_string(connection) as service:
        names = [table.name async for table in service.list_tables()]
        for name in [name for name in names if name.startswith(prefix)]:
            async for entity in service.get_table_client(name).list_entities():
                key = f"{name} {entity['PartitionKey']} {entity['RowKey']}"
                yield key, b"\0".join(map(_bytes, (name, *entity.keys(), *entity.values())))
    async with BlobServiceClient.from_connection_string(connection) as service:
        containers = [each.name async for each in service.list_containers()]
        for name in [name for name in containers if name.startswith(prefix)]:
            if name in without:
                continue
            client = service.get_container_client(name)
            async for blob in client.list_blob_names():
                content = await (await client.download_blob(blob)).readall()
                yield f"{name}/{blob}", blob.encode() + b"\0" + content


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")

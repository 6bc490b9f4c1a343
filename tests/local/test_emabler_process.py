"""The small eMabler as a process of its own, and the wall between it and the product."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.emabler.process import EmablerServer

CHECKOUT = Path(__file__).resolve().parents[2]
SESSION = {
    "id": 1,
    "chargerId": "CH-1",
    "socketId": 1,
    "evseTransactionId": "7",
    "timestampStart": "2026-03-14T08:00:00Z",
    "timestampEnd": "2026-03-14T09:00:00Z",
}


def python_files(folder: Path) -> Iterator[Path]:
    for root, folders, files in folder.walk():
        folders[:] = [name for name in folders if name != "node_modules"]
        yield from (root / name for name in files if name.endswith(".py"))


async def finished_sessions(server: EmablerServer, key: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as client:
        return await client.post("v3/transactions", json={}, headers={"x-api-key": key})


async def test_the_books_outlive_a_restart(tmp_path: Path) -> None:
    """What was put into the books is answered by the next process on the same file."""
    kept = tmp_path / "books.json"
    for put in (True, False):
        async with await EmablerServer.start(
            api_key="k", log=tmp_path / "log", books=kept
        ) as server:
            if put:
                await server.put("sessions", [SESSION])
            answer = await finished_sessions(server, "k")
            assert answer.json()["totalRecords"] == 1
            assert (await finished_sessions(server, "another")).status_code == 401
            assert [call["status"] for call in await server.calls()] == [200, 401]
        assert not server.running


async def test_a_record_in_another_shape_is_an_error(tmp_path: Path) -> None:
    """Filling the books with what eMabler would never send fails at once."""
    async with await EmablerServer.start(api_key="k", log=tmp_path / "log") as server:
        with pytest.raises(httpx.HTTPStatusError):
            await server.add("sessions", [{"id": 1}])


def test_the_local_azure_shares_no_code_with_the_product() -> None:
    """Nothing below local/ imports the product, so that no misreading can agree with itself."""
    product = {"shared", "management", "function_app", "manage"}
    for path in python_files(CHECKOUT / "local"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            imported = {name.split(".")[0] for name in names}
            assert not imported & product, f"{path} imports {imported & product}"

"""The baselines: a function that does nothing, and one that does a bare range query of a tag."""

import json
import os

import azure.functions as func
from azure.data.tables.aio import TableServiceClient

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
client = TableServiceClient.from_connection_string(
    os.environ["DataStorageConnection"]
).get_table_client("tags")
QUERY = "PartitionKey eq @partition and RowKey ge @start and RowKey lt @end"


@app.function_name("nothing")
@app.route(route="nothing", methods=["POST"])
async def nothing(req: func.HttpRequest) -> func.HttpResponse:
    """Read the body and answer."""
    json.loads(req.get_body())
    return func.HttpResponse(b"{}", mimetype="application/json")


@app.function_name("bare")
@app.route(route="bare", methods=["POST"])
async def bare(req: func.HttpRequest) -> func.HttpResponse:
    """Query the range that the body names, and answer."""
    parameters = json.loads(req.get_body())
    found = [entity async for entity in client.query_entities(QUERY, parameters=parameters)]
    return func.HttpResponse(json.dumps({"rows": len(found)}).encode(), mimetype="application/json")

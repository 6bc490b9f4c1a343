"""A host for Azure Functions apps in Python (v2 model) on one machine.

The Python side is Microsoft's own: `azure-functions-runtime` indexes and runs the app in a worker
process. This package is the other side, which Azure closes off in its host: it starts the worker,
speaks FunctionRpc with it over gRPC, and turns HTTP requests, timer occurrences and Service Bus
messages into invocations, with the habits of `func start`.

Start it with `python -m local.functions_host`, or from a test with
`local.functions_host.process.FunctionsHost`.
"""

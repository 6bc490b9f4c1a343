"""The worker process: a FunctionRpc client around Microsoft's `azure-functions-runtime`.

`main.py` is started as a script and gives this folder the private package name
`_functions_worker`, so that the app under test can import its own folder and site-packages and
nothing of this repository. The modules here use the standard library, grpc and the runtime only.
"""

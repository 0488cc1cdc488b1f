"""``python -m benchmarks.engines.bare BYTES --port PORT``: reads a request and answers, and does nothing else."""

import sys

import uvicorn
from starlette.types import Receive, Scope, Send


def main(arguments: list[str]) -> None:
    body = b"x" * int(arguments[0])
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(
        application, host="127.0.0.1", port=int(arguments[2]), log_config=None, access_log=False, lifespan="off"
    )


if __name__ == "__main__":
    main(sys.argv[1:])

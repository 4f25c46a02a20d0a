"""A SOCKS5 proxy (RFC 1928) with CONNECT and no authentication, for the load's client of one.

    python3 socks.py PORT
"""

import asyncio
import socket
import sys

REPLIES = {ConnectionRefusedError: 5, TimeoutError: 6}


async def pass_on(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def read_address(reader):
    kind = (await reader.readexactly(1))[0]
    if kind == 1:
        host = socket.inet_ntop(socket.AF_INET, await reader.readexactly(4))
    elif kind == 4:
        host = socket.inet_ntop(socket.AF_INET6, await reader.readexactly(16))
    else:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    return host, int.from_bytes(await reader.readexactly(2), "big")


async def serve(reader, writer):
    try:
        version, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(bytes([5, 0]))
        await reader.readexactly(3)
        host, port = await read_address(reader)
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError as error:
            writer.write(bytes([5, REPLIES.get(type(error), 1), 0, 1, 0, 0, 0, 0, 0, 0]))
            writer.close()
            return
        writer.write(bytes([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]))
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))
        far_writer.close()
        writer.close()
    except (OSError, asyncio.IncompleteReadError):
        writer.transport.abort()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())

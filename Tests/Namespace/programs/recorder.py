#!/usr/bin/env python3
"""Sends back what it gets, and keeps it: recorder.py ADDRESS PORT FOLDER

All bytes of all TCP connections go to FOLDER/tcp, and all of UDP to FOLDER/udp, before they are sent back."""
import asyncio
import sys

address, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
files = {name: open(f"{folder}/{name}", "ab", buffering=0) for name in ("tcp", "udp")}


async def serve(reader, writer):
    try:
        while data := await reader.read(65536):
            files["tcp"].write(data)
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        files["udp"].write(data)
        self.transport.sendto(data, peer)


async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, local_addr=(address, port))
    server = await asyncio.start_server(serve, address, port)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())

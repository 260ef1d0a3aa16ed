"""A rank on each of two nodes: rank 1 greets rank 0 by its node's name, from an address of its own."""

import os
import socket
import time

rank_0 = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if os.environ["RANK"] == "0":
    with socket.create_server(rank_0) as server:
        peer, (address, _) = server.accept()
        print(address, "says", peer.recv(100).decode(), flush=True)
        peer.close()
else:
    while True:
        try:
            # The ranks begin in any order.
            connection = socket.create_connection(rank_0, source_address=(os.environ["MA_CURRENT_IP"], 0))
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    connection.sendall(b"hello from rank 1")
    connection.recv(1)
    print(connection.getpeername()[0], "has heard it", flush=True)

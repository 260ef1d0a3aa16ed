"""A node of two that tries its network: node 1 greets node 0 by its name, from an address of its own."""

import os
import socket
import time

hosts = os.environ["VC_WORKER_HOSTS"].split(",")
own, port = os.environ["MA_CURRENT_IP"], 29400
if os.environ["VC_TASK_INDEX"] == "0":
    with socket.create_server((hosts[0], port)) as server:
        peer, (address, _) = server.accept()
        print(address, "says", peer.recv(100).decode(), flush=True)
        peer.close()
else:
    while True:
        try:
            # The nodes begin in any order.
            node_0 = socket.create_connection((hosts[0], port), source_address=(own, 0))
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    node_0.sendall(b"hello from node 1")
    node_0.recv(1)
    print(node_0.getpeername()[0], "has heard it", flush=True)

"""What no client in Python can go below: epoll, receive, count; nothing is stamped, parsed or kept.

Arguments: URL, streams, requests per stream, tokens. Prints CPU µs per token of this process.
"""

import select
import socket
import sys
import time
from urllib.parse import urlsplit

PARTS, STREAMS, ROUNDS, TOKENS = urlsplit(sys.argv[1]), *map(int, sys.argv[2:5])
BODY = (
    b'{"model":"sim","stream":true,"max_tokens":%d,"messages":[{"role":"user","content":"hello"}]}' % TOKENS
)
HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
REQUEST = HEAD.format(len(BODY)).encode() + BODY

connections = [socket.create_connection((PARTS.hostname, PARTS.port)) for _ in range(STREAMS)]
by_number = {connection.fileno(): connection for connection in connections}
poll = select.epoll()
for number in by_number:
    poll.register(number, select.EPOLLIN)
started = time.process_time()
left = STREAMS * ROUNDS
for connection in connections:
    connection.sendall(REQUEST)
while left:
    for number, _ in poll.poll():
        if by_number[number].recv(65536).endswith(b"0\r\n\r\n"):
            left -= 1
            if left >= STREAMS:
                by_number[number].sendall(REQUEST)
print((time.process_time() - started) / (STREAMS * ROUNDS * TOKENS) * 1e6)

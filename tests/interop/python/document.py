"""Runs the Python of proto/PROTOCOL.md as it stands there, but for the addresses and files.

    python document.py URL CA.crt CERTIFICATE-AND-KEY.pem PRINCIPAL"""
import contextlib
import io
import os
import re
import signal
import sys
import threading

from activity.v1 import admin_service_pb2 as admin, change_service_pb2 as changes, feed_pb2 as feed

url, ca, pem, principal = sys.argv[1:]
with open("proto/PROTOCOL.md", encoding="utf-8") as document:
    first, second = re.findall(r"```python\n(.*?)```", document.read(), re.DOTALL)


def replaced(text, **places):
    for name, value in places.items():
        text, count = re.subn(rf'"{name}"', f'"{value}"', text)
        assert count == 1, name
    return text


def create():
    request = scope["activities"].CreateActivityRequest(request_id=os.urandom(16), type="upload")
    scope["call"]("activity.v1.ActivityService/CreateActivity", request,
                  scope["activities"].CreateActivityResponse)


class Enough(Exception):
    """The subscriber of the document runs for ever."""


def stop(*_):
    raise Enough


scope = {"changes": changes, "feed": feed}
exec(replaced(first, **{"tls.tcp://[0-9.:]*": url, "ca.crt": ca, "client.pem": pem}), scope)
server = scope["call"]("activity.v1.AdminService/GetServerInfo", admin.GetServerInfoRequest(),
                       admin.GetServerInfoResponse)
assert server.principal == principal and scope["found"].cursor.epoch == server.epoch
print("ok call", flush=True)

create()  # what the subscriber has to read after
second = replaced(second, **{"tls.tcp://[0-9.:]*": server.feed_url})
threading.Timer(1, create).start()
signal.signal(signal.SIGALRM, stop)
signal.alarm(3)
with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(Enough):
    exec(second, scope)
begin = server.head_sequence
assert printed.getvalue() == "".join(f"{begin + i} activity_created interop\n" for i in (1, 2)), \
    printed.getvalue()
print("ok follow", flush=True)

"""Does with the client what a service does, and judges what it gets.

    python check.py URL CA.crt CERTIFICATE-AND-KEY.pem PRINCIPAL

Prints "ok STEP" after each step. After the line "restart" somebody kills the server and starts it."""
import os
import sys
import threading
import time

import pynng
from activity.v1 import activity_service_pb2 as activities, admin_service_pb2 as admin
from activity.v1 import change_service_pb2 as changes, feed_pb2 as feed, types_pb2 as types
from client import Client, Follower, tls_config

APPLIED, HEARTBEAT, UNKNOWN = 1, 2, 3
jobs = []


def passed(step):
    print("ok", step, flush=True)


def info():
    return client.ask("AdminService", admin.GetServerInfoRequest())


def find(**filters):
    return client.ask("ActivityService", activities.FindActivitiesRequest(**filters))


def create(**fields):
    fields = dict(request_id=os.urandom(16), type="upload", title="Zürich") | fields
    response = client.ask("ActivityService", activities.CreateActivityRequest(**fields))
    if hasattr(response, "job_id") and response.job_id not in jobs:
        jobs.append(response.job_id)
    return response


def update(job, **fields):
    response = client.ask("ActivityService", activities.UpdateActivityRequest(job_id=job, **fields))
    return response.disposition, response.percent


def read(**fields):
    return client.ask("ChangeService", changes.ReadChangesRequest(**fields))


def await_end(job):
    poll = activities.WaitActivityRequest(job_id=job, wait_ms=4000)
    while not client.ask("ActivityService", poll).reached:
        pass


def told(kind):
    return [getattr(e, kind) for e in follower.events if e.WhichOneof("event") == kind]


def creations_told():
    return [created.job_id for created in told("activity_created")]


client = Client(*sys.argv[1:4])
server = info()
assert server.principal == sys.argv[4] and server.feed_allowed and server.epoch != 0
begin = find().cursor
follower = Follower(client, server.feed_url, types.Cursor(epoch=begin.epoch, sequence=begin.sequence))
assert server.tls.version == os.environ["INTEROP_TLS"] and server.tls.cipher_suite
passed("connect")

first = dict(request_id=os.urandom(16), type="transcoding", groups=["editors"])
job = create(**first).job_id
assert create(**first).job_id == job, "a repetition is answered as the first"
assert create(**first | {"type": "other"}).reason == "REQUEST_ID_REUSED"
refusal = create(type="no blanks")
assert (refusal.code, refusal.reason, refusal.metadata[0].value) == (3, "BAD_FIELD", "type")
passed("create")

assert update(job, percent=40, status_text="läuft") == (APPLIED, 40)
assert update(job, percent=10) == (HEARTBEAT, 40) and update(12345, percent=1) == (UNKNOWN, 0)
passed("update")

three = [create().job_id, create().job_id, 12345]
batch = client.ask("ActivityService", activities.BatchUpdateActivitiesRequest(
    job_id_deltas=[b - a for a, b in zip([0] + three, three)], percents=bytes([50, 100, 7])))
assert (batch.percents, batch.ignored_count) == (bytes([50, 100, 0]), 1)
assert batch.dispositions == bytes([APPLIED, APPLIED, UNKNOWN])
passed("batch")

found = {a.job_id: (a.percent, a.state) for a in find(activities=True, job_ids=jobs).activities}
assert found == {job: (40, 1), three[0]: (50, 1), three[1]: (100, 2)}, found
passed("find")

result = types.JobResult(items=[types.ResultItem(id="a"), types.ResultItem(id="b", error_code="X")],
                         content=b"\0\1", content_type="application/octet-stream")
assert update(job, percent=100, result=result) == (APPLIED, 100)
got = client.ask("ActivityService", activities.GetJobResultRequest(job_id=job))
assert got.state == activities.RESULT_STATE_READY and got.result == result
waited = client.ask("ActivityService", activities.WaitActivityRequest(job_id=job, wait_ms=3000))
assert waited.reached and waited.state == types.ACTIVITY_STATE_COMPLETED
passed("result")

change = changes.DocumentChange(model="clip", document_id="7", affected_model="Clip", json=b"{}",
                                groups=["*"])
receipt = client.ask("ChangeService", changes.RecordModelChangesRequest(
    request_id=os.urandom(16), changes=[change]))
seen = client.ask("ChangeService", changes.WaitVisibleRequest(ticket=receipt.ticket, wait_ms=3000))
assert seen.reached and seen.open_changes == 0
passed("record")

follower.until(lambda: told("index_changed"))
assert creations_told() == jobs and {e.job_id for e in told("activity_ended")} == {job, three[1]}
assert told("model_changed")[0].updated_ms == receipt.accept_time_ms
assert told("index_changed")[0].model == "es:clip"
assert all(e.principal == server.principal for e in follower.events)
page = read(after=begin, kinds=[feed.EVENT_KIND_MODEL_CHANGED], models=["clip"])
assert [e.model_changed.document_id for e in page.events] == ["7"]
passed("subscribe")

assert update(three[0], percent=61) == (APPLIED, 61)
follower.until(lambda: follower.percents.get(three[0]) == 61)
passed("progress")

gaps, filled = follower.gaps, follower.filled
follower.socket.unsubscribe(b"c|")
for _ in range(20):
    create()
time.sleep(0.3)
follower.socket.subscribe(b"c|")
follower.until(lambda: len(creations_told()) == len(jobs))
assert follower.gaps > gaps and follower.filled >= filled + 20 and creations_told() == jobs
passed("gap")

waiter = threading.Thread(target=await_end, args=[three[0]])
waiter.start()
print("restart", flush=True)
while info().start_time_ms == server.start_time_ms:
    create()
    time.sleep(0.005)
assert info().epoch == server.epoch and client.lost > 0, "the long poll was under way"
create()
follower.until(lambda: len(creations_told()) == len(jobs))
assert creations_told() == jobs, "each of them once and in order"
found = {a.job_id: a.percent for a in find(activities=True, job_ids=jobs[:256]).activities}
assert list(found) == jobs[:256] and found[three[0]] == 61, "acknowledged and missing"
update(three[0], percent=100)
waiter.join(10)
assert not waiter.is_alive(), "the long poll was repeated and hears of the end"
passed("restart")

for cursor, reason in ((types.Cursor(epoch=server.epoch ^ 1), changes.RESET_REASON_EPOCH),
                       (types.Cursor(epoch=server.epoch, sequence=1 << 40), changes.RESET_REASON_AHEAD)):
    reset = read(after=cursor, wait_ms=3000).reset
    assert (reset.reason, reset.call) == (reason, "activity.v1.ActivityService/FindActivities")
passed("reset")


def refused(ca, pem, server_name="localhost"):
    """What pynng says to a client that is not let in, or that does not believe the server. Some is
    told by dialling, some only by the first request."""
    tls = tls_config(ca, pem, server_name)
    try:
        with pynng.Req0(tls_config=tls, resend_time=-1, send_timeout=2000, recv_timeout=2000) as s:
            s.dial(sys.argv[1], block=True)
            s.send(b"not to be heard")
            s.recv()
    except pynng.NNGException as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("was let in")


CRYPTO = "CryptoError: Cryptographic error"
files = os.environ["INTEROP_FILES"]
said = [
    refused(sys.argv[2], None),
    refused(sys.argv[2], f"{files}/foreign.pem"),
    refused(sys.argv[2], sys.argv[3], "another.example"),
    refused(f"{files}/foreign.crt", sys.argv[3]),
]
none = "NNGException: Connection shutdown" if server.tls.version == "1.2" else CRYPTO
assert said == [none, CRYPTO, CRYPTO, CRYPTO], said  # as PROTOCOL.md has it in section 13
passed("refused")
print(f"{len(follower.events)} events, {follower.gaps} gaps, {follower.filled} events read after, "
      f"{client.lost} calls repeated", file=sys.stderr)

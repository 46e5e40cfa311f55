"""A client of activityd, written from proto/PROTOCOL.md alone: calls, and following the change feed."""
import os
import random
import sys
import time

import pynng
from activity.v1 import activity_service_pb2 as activities, change_service_pb2 as changes
from activity.v1 import envelope_pb2 as envelopes, feed_pb2 as feed, types_pb2 as types


TLS_VERSIONS = {"1.2": 0x303, "1.3": 0x304}  # NNG's numbers


def tls_config(ca, pem, server_name="localhost"):
    """pynng has no word for the version: it leaves both to NNG. INTEROP_TLS wants one of them."""
    tls = pynng.TLSConfig(pynng.TLSConfig.MODE_CLIENT, server_name=server_name, ca_files=ca,
                          cert_key_file=pem, auth_mode=pynng.TLSConfig.AUTH_MODE_REQUIRED)
    if "INTEROP_TLS" in os.environ:
        wanted = TLS_VERSIONS[os.environ["INTEROP_TLS"]]
        pynng.check_err(pynng.lib.nng_tls_config_version(tls._tls_config, wanted, wanted))
    return tls


class Client:
    """The command endpoint."""

    def __init__(self, url, ca, pem):
        tls = tls_config(ca, pem)
        self.options = dict(tls_config=tls, recv_max_size=1 << 20, reconnect_time_min=100,
                            reconnect_time_max=2000)
        self.socket = pynng.Req0(resend_time=-1, send_timeout=2000, recv_timeout=6000,
                                 **self.options)
        self.socket.dial(url, block=True)
        self.lost = 0

    def ask(self, service, request):
        """The response, or the status that refuses. What has no certain outcome is repeated as it
        was; so is what the server could not take now."""
        name = type(request).__name__.removesuffix("Request")
        frame = envelopes.RequestEnvelope(method=f"activity.v1.{service}/{name}", timeout_ms=5000,
                                          payload=request.SerializeToString()).SerializeToString()
        for attempt in range(30):
            pause = min(1, 0.05 * 2**attempt) * random.uniform(0.5, 1)
            try:
                with self.socket.new_context() as context:  # one per call
                    context.send(frame)
                    reply = envelopes.ReplyEnvelope.FromString(context.recv())
            except pynng.NNGException:
                self.lost += 1
            else:
                assert reply.HasField("status"), "a reply without a status"
                if reply.status.code == 0:
                    module = sys.modules[type(request).__module__]
                    return getattr(module, name + "Response").FromString(reply.payload)
                if reply.status.code not in (8, 14):  # RESOURCE_EXHAUSTED, UNAVAILABLE
                    return reply.status
                pause = max(pause, reply.status.retry_after_ms / 1000)
            time.sleep(pause)
        raise TimeoutError(f"{name} was not answered")


class Follower:
    """The change-feed endpoint: the position, and what has been told up to it."""

    def __init__(self, client, url, position):
        self.client, self.position = client, position
        self.socket = pynng.Sub0(topics=[b"c|", b"p|"], recv_timeout=3000, recv_buffer_size=1024,
                                 **client.options)
        self.socket.dial(url, block=True)
        self.events, self.gaps, self.filled = [], 0, 0
        self.percents, self.number, self.told_ms = {}, 0, 0

    def take(self, event):
        if event.sequence > self.position.sequence:
            assert event.sequence == self.position.sequence + 1, "a hole in the history"
            self.position.sequence = event.sequence
            self.events.append(event)
            return 1
        return 0

    def fill(self):
        self.gaps += 1
        while True:
            page = self.client.ask("ChangeService", changes.ReadChangesRequest(
                after=self.position, all_tenants=True))
            assert not page.HasField("reset"), page.reset
            self.filled += sum(self.take(event) for event in page.events)
            assert page.cursor == self.position, "without filters the cursor is the last event"
            if self.position.sequence >= page.head_sequence:
                return

    def history(self, frame):
        if (frame.epoch != self.position.epoch
                or frame.first_sequence > self.position.sequence + 1):
            self.fill()
        for event in frame.events:
            self.take(event)

    def progress(self, frame):
        if frame.number != self.number + (1 if frame.percents else 0):  # ask for what was lost
            found = self.client.ask("ActivityService", activities.FindActivitiesRequest(
                activities=True, states=[types.ACTIVITY_STATE_RUNNING], observe=True,
                updated_since_ms=self.told_ms))
            self.percents.update((a.job_id, a.percent) for a in found.activities)
        self.number, self.told_ms, job = frame.number, frame.time_ms or self.told_ms, 0
        for delta, percent in zip(frame.job_id_deltas, frame.percents):
            job += delta
            self.percents[job] = max(percent, self.percents.get(job, 0))

    def until(self, done, seconds=15):
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, "what was expected has not been told"
            try:
                message = self.socket.recv()
            except pynng.Timeout:  # not even a heartbeat: ask
                self.fill()
                continue
            if message[:2] == b"c|":
                self.history(feed.HistoryFrame.FromString(message[2:]))
            elif message[:2] == b"p|":
                self.progress(feed.ProgressFrame.FromString(message[2:]))

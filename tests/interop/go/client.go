// A client of activityd, written from proto/PROTOCOL.md alone: calls, and following the change feed.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"math/rand"
	"os"
	"strings"
	"sync/atomic"
	"time"

	pb "interop/activity/v1"

	"go.nanomsg.org/mangos/v3"
	"go.nanomsg.org/mangos/v3/protocol/req"
	"go.nanomsg.org/mangos/v3/protocol/sub"
	_ "go.nanomsg.org/mangos/v3/transport/tlstcp"
	"google.golang.org/protobuf/proto"
)

type options map[string]interface{}

type client struct {
	tls    *tls.Config
	socket mangos.Socket
	lost   atomic.Int32
}

// tlsConfig speaks one version only where INTEROP_TLS wants that.
func tlsConfig(caFile, pemFile, serverName string) *tls.Config {
	ca := x509.NewCertPool()
	check(ca.AppendCertsFromPEM(must(os.ReadFile(caFile))), "a CA")
	config := &tls.Config{RootCAs: ca, ServerName: serverName}
	if pemFile != "" {
		config.Certificates = []tls.Certificate{must(tls.LoadX509KeyPair(pemFile, pemFile))}
	}
	if version := os.Getenv("INTEROP_TLS"); version != "" {
		config.MinVersion = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[version]
		config.MaxVersion = config.MinVersion
	}
	return config
}

func dial(url, caFile, pemFile string) *client {
	c := &client{tls: tlsConfig(caFile, pemFile, "localhost")}
	c.socket = c.open(url, must(req.NewSocket()), options{mangos.OptionRetryTime: time.Duration(0),
		mangos.OptionSendDeadline: 2 * time.Second, mangos.OptionRecvDeadline: 6 * time.Second})
	return c
}

func (c *client) open(url string, socket mangos.Socket, more options) mangos.Socket {
	more[mangos.OptionMaxRecvSize] = 1 << 20
	more[mangos.OptionMaxReconnectTime] = 2 * time.Second // from 100 ms
	for name, value := range more {
		ok(socket.SetOption(name, value))
	}
	ok(socket.DialOptions(url, options{mangos.OptionTLSConfig: c.tls}))
	return socket
}

// ask fills the response and returns nil, or returns the status that refuses. What has no certain
// outcome is repeated as it was; so is what the server could not take now.
func (c *client) ask(service string, request, response proto.Message) *pb.Status {
	name := strings.TrimSuffix(string(request.ProtoReflect().Descriptor().Name()), "Request")
	frame := must(proto.Marshal(&pb.RequestEnvelope{Method: "activity.v1." + service + "/" + name,
		TimeoutMs: 5000, Payload: must(proto.Marshal(request))}))
	for pause, attempt := 50*time.Millisecond, 0; attempt < 30; attempt++ {
		reply, err := c.exchange(frame)
		if err != nil {
			c.lost.Add(1)
		} else if reply.Status.Code == 0 {
			ok(proto.Unmarshal(reply.Payload, response))
			return nil
		} else if reply.Status.Code != 8 && reply.Status.Code != 14 { // RESOURCE_EXHAUSTED, UNAVAILABLE
			return reply.Status
		}
		time.Sleep(pause/2 + time.Duration(rand.Int63n(int64(pause))) +
			time.Duration(reply.GetStatus().GetRetryAfterMs())*time.Millisecond)
		if pause < time.Second {
			pause *= 2
		}
	}
	panic(name + " was not answered")
}

func (c *client) exchange(frame []byte) (*pb.ReplyEnvelope, error) {
	context := must(c.socket.OpenContext()) // one per call
	defer context.Close()
	if err := context.Send(frame); err != nil {
		return nil, err
	}
	body, err := context.Recv()
	var reply pb.ReplyEnvelope
	if err == nil {
		ok(proto.Unmarshal(body, &reply))
		check(reply.Status != nil, "a reply with a status")
	}
	return &reply, err
}

// A follower is a position in the history, and what has been told up to it.
type follower struct {
	*client
	feed         mangos.Socket
	position     *pb.Cursor
	events       []*pb.ChangeEvent
	gaps, filled int
	percents     map[uint64]byte
}

func (c *client) follow(url string, position *pb.Cursor) *follower {
	feed := c.open(url, must(sub.NewSocket()),
		options{mangos.OptionReadQLen: 1024, mangos.OptionRecvDeadline: 3 * time.Second})
	ok(feed.SetOption(mangos.OptionSubscribe, "c|"))
	ok(feed.SetOption(mangos.OptionSubscribe, "p|"))
	return &follower{client: c, feed: feed, position: position, percents: map[uint64]byte{}}
}

func (f *follower) take(events []*pb.ChangeEvent) {
	for _, event := range events {
		if event.Sequence > f.position.Sequence {
			check(event.Sequence == f.position.Sequence+1, "a history without holes")
			f.position.Sequence++
			f.events = append(f.events, event)
		}
	}
}

func (f *follower) fill() {
	f.gaps++
	for before, level := len(f.events), false; !level; f.filled += len(f.events) - before {
		var page pb.ReadChangesResponse
		status := f.ask("ChangeService", &pb.ReadChangesRequest{After: f.position, AllTenants: true}, &page)
		check(status == nil && page.Reset_ == nil, "events after the position", status, page.Reset_)
		before = len(f.events)
		f.take(page.Events)
		check(proto.Equal(page.Cursor, f.position), "a cursor at the last event, without filters")
		level = f.position.Sequence >= page.HeadSequence
	}
}

// next takes one message. Progress that is lost comes again within 30 s.
func (f *follower) next() {
	history, progress := new(pb.HistoryFrame), new(pb.ProgressFrame)
	message, err := f.feed.Recv()
	if err != nil { // not even a heartbeat: ask
		f.fill()
	} else if strings.HasPrefix(string(message), "p|") {
		ok(proto.Unmarshal(message[2:], progress))
		for i, job := 0, int64(0); i < len(progress.Percents); i++ {
			job += progress.JobIdDeltas[i]
			f.percents[uint64(job)] = progress.Percents[i]
		}
	} else if strings.HasPrefix(string(message), "c|") {
		ok(proto.Unmarshal(message[2:], history))
		if history.Epoch != f.position.Epoch || history.FirstSequence > f.position.Sequence+1 {
			f.fill()
		}
		f.take(history.Events)
	}
}

// Does with the client what a service does, and judges what it gets.
//
//	interop URL CA.crt CERTIFICATE-AND-KEY.pem PRINCIPAL
//
// Prints "ok STEP" after each step. After the line "restart" somebody kills the server and starts it.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"time"

	pb "interop/activity/v1"

	"go.nanomsg.org/mangos/v3"
	"go.nanomsg.org/mangos/v3/protocol/req"
	"google.golang.org/protobuf/proto"
)

var (
	c    *client
	f    *follower
	jobs []uint64 // created, in order
)

func check(good bool, expected string, found ...interface{}) {
	if !good {
		panic(fmt.Sprint("expected ", expected, ", found ", found))
	}
}

func ok(err error) { check(err == nil, "no error", err) }

func must[T any](value T, err error) T {
	ok(err)
	return value
}

func same(expected, found interface{}) {
	check(fmt.Sprint(expected) == fmt.Sprint(found), fmt.Sprint(expected), found)
}

func get[T proto.Message](service string, request proto.Message, response T) T {
	status := c.ask(service, request, response)
	check(status == nil, "a response", status)
	return response
}

func info() *pb.GetServerInfoResponse {
	return get("AdminService", &pb.GetServerInfoRequest{}, &pb.GetServerInfoResponse{})
}

func requestID() []byte {
	id := make([]byte, 16)
	must(rand.Read(id))
	return id
}

func create(request *pb.CreateActivityRequest) uint64 {
	job := get("ActivityService", request, &pb.CreateActivityResponse{}).JobId
	if len(jobs) == 0 || jobs[len(jobs)-1] != job {
		jobs = append(jobs, job)
	}
	return job
}

func another() uint64 {
	return create(&pb.CreateActivityRequest{RequestId: requestID(), Type: "upload", Title: "Zürich"})
}

func update(job uint64, percent uint32, result *pb.JobResult) string {
	r := get("ActivityService", &pb.UpdateActivityRequest{JobId: job, Result: result,
		PercentChange: &pb.UpdateActivityRequest_Percent{Percent: percent}}, &pb.UpdateActivityResponse{})
	return fmt.Sprint(r.Disposition, " ", r.Percent)
}

func find() (percents map[uint64]uint32, cursor *pb.Cursor) {
	r := get("ActivityService", &pb.FindActivitiesRequest{}, &pb.FindActivitiesResponse{})
	percents = map[uint64]uint32{}
	for _, a := range r.Activities {
		percents[a.JobId] = a.Percent
	}
	return percents, r.Cursor
}

func read(after *pb.Cursor, kinds ...pb.EventKind) *pb.ReadChangesResponse {
	return get("ChangeService", &pb.ReadChangesRequest{After: after, Kinds: kinds}, &pb.ReadChangesResponse{})
}

// told waits for the creation of all jobs and as many other events, and compares the order.
func told(others int) (kinds map[string]int) {
	var created []uint64
	for deadline := time.Now().Add(15 * time.Second); ; f.next() {
		created, kinds = nil, map[string]int{}
		for _, event := range f.events {
			kinds[fmt.Sprintf("%T", event.Event)]++
			if event.GetActivityCreated() != nil {
				created = append(created, event.GetActivityCreated().JobId)
			}
		}
		if len(created) >= len(jobs) && len(f.events)-len(created) >= others {
			same(jobs, created)
			return kinds
		}
		check(time.Now().Before(deadline), "all to be told", len(created), kinds)
	}
}

// refused is what mangos says to a client that is not let in, or that does not believe the server. With
// TLS 1.3 dialling may still succeed, and the first request fails.
func refused(caFile, pemFile, serverName string) string {
	socket := must(req.NewSocket())
	defer socket.Close()
	ok(socket.SetOption(mangos.OptionRecvDeadline, 2*time.Second))
	ok(socket.SetOption(mangos.OptionSendDeadline, 2*time.Second))
	ok(socket.SetOption(mangos.OptionRetryTime, time.Duration(0)))
	err := socket.DialOptions(os.Args[1], options{mangos.OptionTLSConfig: tlsConfig(caFile, pemFile, serverName)})
	if err == nil {
		if err = socket.Send([]byte("not to be heard")); err == nil {
			_, err = socket.Recv()
		}
	}
	check(err != nil, "a refusal", caFile, pemFile, serverName)
	return err.Error()
}

func main() {
	c = dial(os.Args[1], os.Args[2], os.Args[3])
	server := info()
	same(os.Args[4], server.Principal)
	check(server.FeedAllowed && server.Epoch != 0, "the feed to be allowed", server)
	_, begin := find()
	f = c.follow(server.FeedUrl, proto.Clone(begin).(*pb.Cursor))
	same(os.Getenv("INTEROP_TLS"), server.Tls.Version)
	fmt.Println("ok connect")

	request := &pb.CreateActivityRequest{RequestId: requestID(), Type: "transcoding", Groups: []string{"editors"}}
	job := create(request)
	same(job, create(request)) // a repetition is answered as the first
	request.Type = "no blanks"
	status := c.ask("ActivityService", request, nil)
	same([]string{"3", "BAD_FIELD", "type"}, []string{fmt.Sprint(status.Code), status.Reason, status.Metadata[0].Value})
	request.Type = "other"
	same("REQUEST_ID_REUSED", c.ask("ActivityService", request, nil).Reason)
	fmt.Println("ok create")

	same("DISPOSITION_APPLIED 40", update(job, 40, nil))
	same("DISPOSITION_HEARTBEAT 40", update(job, 10, nil))
	same("DISPOSITION_UNKNOWN 0", update(12345, 1, nil))
	fmt.Println("ok update")

	half, whole := another(), another()
	batch := get("ActivityService", &pb.BatchUpdateActivitiesRequest{
		JobIdDeltas: []int64{int64(half), int64(whole - half), 12345 - int64(whole)},
		Percents:    []byte{50, 100, 7}}, &pb.BatchUpdateActivitiesResponse{})
	same([][]byte{{50, 100, 0}, {1, 1, 3}, {1}}, [][]byte{batch.Percents, batch.Dispositions, {byte(batch.IgnoredCount)}})
	fmt.Println("ok batch")

	found, _ := find()
	same(map[uint64]uint32{job: 40, half: 50, whole: 100}, found)
	fmt.Println("ok find")

	result := &pb.JobResult{Content: []byte{0, 1}, ContentType: "application/octet-stream",
		Items: []*pb.ResultItem{{Id: "a"}, {Id: "b", ErrorCode: "X"}}}
	same("DISPOSITION_APPLIED 100", update(job, 100, result))
	got := get("ActivityService", &pb.GetJobResultRequest{JobId: job}, &pb.GetJobResultResponse{})
	check(got.State == pb.ResultState_RESULT_STATE_READY && proto.Equal(got.Result, result), "the result", got)
	waited := get("ActivityService", &pb.WaitActivityRequest{JobId: job, WaitMs: 3000}, &pb.WaitActivityResponse{})
	check(waited.Reached && waited.State == pb.ActivityState_ACTIVITY_STATE_COMPLETED, "an end", waited)
	fmt.Println("ok result")

	receipt := get("ChangeService", &pb.RecordModelChangesRequest{RequestId: requestID(), Changes: []*pb.DocumentChange{
		{Model: "clip", DocumentId: "7", AffectedModel: "Clip", Json: []byte("{}"), Groups: []string{"*"}}}},
		&pb.RecordModelChangesResponse{})
	seen := get("ChangeService", &pb.WaitVisibleRequest{Ticket: receipt.Ticket, WaitMs: 3000}, &pb.WaitVisibleResponse{})
	check(seen.Reached && seen.OpenChanges == 0, "visible changes", seen)
	fmt.Println("ok record")

	same(map[string]int{"*v1.ChangeEvent_ActivityCreated": 3, "*v1.ChangeEvent_ActivityEnded": 2,
		"*v1.ChangeEvent_ModelChanged": 1, "*v1.ChangeEvent_IndexChanged": 1}, told(4))
	page := read(begin, pb.EventKind_EVENT_KIND_MODEL_CHANGED)
	check(len(page.Events) == 1 && page.Events[0].GetModelChanged().UpdatedMs == receipt.AcceptTimeMs, "a change", page)
	fmt.Println("ok subscribe")

	same("DISPOSITION_APPLIED 61", update(half, 61, nil))
	for deadline := time.Now().Add(10 * time.Second); f.percents[half] != 61; f.next() {
		check(time.Now().Before(deadline), "61 %", f.percents)
	}
	fmt.Println("ok progress")

	gaps, filled := f.gaps, f.filled
	ok(f.feed.SetOption(mangos.OptionUnsubscribe, "c|"))
	for i := 0; i < 20; i++ {
		another()
	}
	time.Sleep(300 * time.Millisecond)
	ok(f.feed.SetOption(mangos.OptionSubscribe, "c|"))
	told(4)
	check(f.gaps > gaps && f.filled >= filled+20, "a filled gap", f.gaps, f.filled)
	fmt.Println("ok gap")

	ended := make(chan bool)
	go func() {
		poll, answer := &pb.WaitActivityRequest{JobId: half, WaitMs: 4000}, pb.WaitActivityResponse{}
		for !get("ActivityService", poll, &answer).Reached {
		}
		ended <- true
	}()
	fmt.Println("restart")
	for info().StartTimeMs == server.StartTimeMs {
		another()
		time.Sleep(5 * time.Millisecond)
	}
	check(info().Epoch == server.Epoch && c.lost.Load() > 0, "the same history, and a long poll that was cut")
	another()
	told(4)
	found, _ = find()
	same(len(jobs), len(found)) // what was acknowledged is there
	same(61, found[half])
	update(half, 100, nil)
	<-ended // the long poll was repeated
	fmt.Println("ok restart")

	same(pb.ResetReason_RESET_REASON_EPOCH, read(&pb.Cursor{Epoch: server.Epoch ^ 1}).Reset_.Reason)
	ahead := read(&pb.Cursor{Epoch: server.Epoch, Sequence: 1 << 40}).Reset_
	same("RESET_REASON_AHEAD activity.v1.ActivityService/FindActivities", fmt.Sprint(ahead.Reason, " ", ahead.Call))
	fmt.Println("ok reset")

	// As PROTOCOL.md has it in section 13.
	none, foreign := "local error: tls: bad record MAC", "local error: tls: bad record MAC"
	if server.Tls.Version == "1.2" {
		none, foreign = "EOF", "remote error: tls: unknown certificate authority"
	}
	files := os.Getenv("INTEROP_FILES")
	same(none, refused(os.Args[2], "", "localhost"))
	same(foreign, refused(os.Args[2], files+"/foreign.pem", "localhost"))
	for _, said := range []string{refused(os.Args[2], os.Args[3], "another.example"),
		refused(files+"/foreign.crt", os.Args[3], "localhost")} {
		check(strings.HasPrefix(said, "tls: failed to verify certificate: x509: "), "a text of x509", said)
	}
	fmt.Println("ok refused")
	fmt.Fprintln(os.Stderr, len(f.events), "events,", f.gaps, "gaps,", f.filled, "events read after,", c.lost.Load(), "calls repeated")
}

package redis

import (
	"os"
	"strings"
	"testing"
	"time"

	"vulcan.lan/vulcan_exporter/internal/collectortest"
)

func TestParseInfo(t *testing.T) {
	in, err := parseInfo(strings.NewReader("# Server\r\nredis_version:7.0.15\r\nexecutable:/a:b\r\nbroken\r\n\r\ndb0:keys=3,expires=1,avg_ttl=0\r\ndbx:keys=1\r\ndb1:x\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if in["redis_version"] != "7.0.15" || in["executable"] != "/a:b" || len(in) != 5 {
		t.Errorf("%v", in)
	}
	if dbs := in.numbered("db"); len(dbs) != 2 || dbs["db0"]["keys"] != "3" || dbs["db1"]["keys"] != "" {
		t.Errorf("%v", dbs)
	}
	if _, err := parseInfo(strings.NewReader("a:" + strings.Repeat("x", longestLine))); err == nil {
		t.Error("a line without end is accepted")
	}
}

// TestUnknown shows that what a version does not tell is left out, and what is no number too.
func TestUnknown(t *testing.T) {
	source := collectortest.Load(t, Definition(), "sources: [{name: main, address: /x}]")[0]
	s := &server{now: func() time.Time { return collectortest.Now }}
	out := source.Batch()
	in, err := parseInfo(strings.NewReader("redis_version:2.8\nused_memory:many\nmem_fragmentation_ratio:nan\nconnected_clients:1\nrole:slave\nslave0:ip=a,port=1,state=online\nslave1:ip=a,port=1,state=online\n"))
	if err != nil {
		t.Fatal(err)
	}
	s.emit(in, out)
	if err := out.Err(); err != nil {
		t.Fatal(err)
	}
	const want = `# HELP redis_connected_clients Connected clients, replicas left out.
# TYPE redis_connected_clients gauge
redis_connected_clients{source="main"} 1
# HELP redis_master_link_up 1 if a replica is connected to its master, 0 if not.
# TYPE redis_master_link_up gauge
redis_master_link_up{source="main",master_host="",master_port=""} 0
# HELP redis_server_info 1 with the version, role, mode and eviction policy of the server.
# TYPE redis_server_info gauge
redis_server_info{source="main",version="2.8",role="slave",mode="",maxmemory_policy=""} 1
`
	if got := collectortest.Text(t, out); got != want {
		t.Errorf("got\n%s", got)
	}
}

// A server whose scripts made up too many kinds of errors tells none apart any more: that is no 0.
// Redis 7.2 and 7.4; 7.0 has no such limit and later ones keep what was known.
func TestErrorsNotToldApart(t *testing.T) {
	for line, want := range map[string]string{
		"errorstat_OOM:count=3":                 "1",
		"errorstat_ERRORSTATS_DISABLED:count=1": "0",
	} {
		in, err := parseInfo(strings.NewReader("total_error_replies:500\n" + line + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		out := collectortest.Load(t, Definition(), "sources: [{name: main, address: /x}]")[0].Batch()
		emitErrors(in, out)
		text := collectortest.Text(t, out)
		if !strings.Contains(text, `redis_error_kinds_known{source="main"} `+want) || strings.Contains(text, `err="OOM"} `) != (want == "1") {
			t.Errorf("%s:\n%s", line, text)
		}
	}
}

// TestStart shows that a start that is computed from whole seconds stays where it is, until the
// server is another process.
func TestStart(t *testing.T) {
	now := collectortest.Now
	s := &server{now: func() time.Time { return now }}
	first := s.startOf(info{"uptime_in_seconds": "100", "run_id": "a"})
	now = now.Add(1500 * time.Millisecond)
	if again := s.startOf(info{"uptime_in_seconds": "101", "run_id": "a"}); !again.Equal(first) {
		t.Errorf("%s, then %s", first, again)
	}
	if restarted := s.startOf(info{"uptime_in_seconds": "1", "run_id": "b"}); restarted.Sub(first) != 100*time.Second {
		t.Errorf("%s, after a restart %s", first, restarted)
	}
}

func FuzzInfo(f *testing.F) {
	f.Add("redis_version:7.0.15\r\nrole:master\r\nslave0:ip=a,port=1,state=online,lag=-1\r\ndb0:keys=3,expires=1\r\n")
	f.Add("evicted_keys:-5\nmaxmemory:1e400\nused_memory:0x1p3\ntotal_error_replies:1\nerrorstat_OOM:count=-3\n")
	source := collectortest.Load(f, Definition(), "sources: [{name: main, address: /x}]")[0]
	f.Fuzz(func(t *testing.T, text string) {
		in, err := parseInfo(strings.NewReader(text))
		if err != nil {
			return
		}
		s := &server{now: func() time.Time { return collectortest.Now }}
		out := source.Batch()
		s.emit(in, out)
		if err := out.Err(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// TestRecorded compares all that is shown of a recorded answer of Redis 7.0.15 with a file.
func TestRecorded(t *testing.T) {
	file, err := os.Open("testdata/primary/info.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in, err := parseInfo(file)
	if err != nil {
		t.Fatal(err)
	}
	out := collectortest.Load(t, Definition(), "sources: [{name: main, address: /x}]")[0].Batch()
	s := &server{now: func() time.Time { return collectortest.Now }}
	s.emit(in, out)
	if err := out.Err(); err != nil {
		t.Fatal(err)
	}
	collectortest.Want(t, collectortest.Text(t, out), "testdata/primary/want.prom")
}

package restic

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseSnapshotsErrors(t *testing.T) {
	const id, rest = `"id":"a"`, `"time":"2026-11-25T15:55:14Z","tree":"t","paths":[]`
	for name, in := range map[string]string{
		"empty": "", "garbage": "Fatal: no", "truncated": "[{" + id + "," + rest, "null": "null", "object": "{}",
		"more": "[]\n[]", "no id": "[{" + rest + "}]", "no time": `[{"id":"a","tree":"t","paths":[]}]`,
		"no paths": `[{"id":"a","tree":"t","time":"2026-11-25T15:55:14Z"}]`, "bad time": `[{"id":"a","tree":"t","paths":[],"time":"yesterday"}]`,
		"no tree": `[{"id":"a","paths":[],"time":"2026-11-25T15:55:14Z"}]`,
	} {
		if got, err := parseSnapshots([]byte(in)); err == nil {
			t.Errorf("%s: no error, %v", name, got)
		}
	}
	got, err := parseSnapshots([]byte("[]\n"))
	if err != nil || got == nil || len(got) != 0 {
		t.Errorf("no snapshots: %v, %v", got, err)
	}
}

func TestParseStatsErrors(t *testing.T) {
	for _, tt := range []struct{ mode, in string }{
		{modeRaw, ""}, {modeRaw, "{}"}, {modeRaw, `{"total_size":1,"snapshots_count":1}`},
		{modeRaw, `{"total_size":1,"total_file_count":0,"snapshots_count":1}`},
		{modeRestore, `{"total_size":1,"total_blob_count":3,"snapshots_count":1}`},
		{modeUnique, `{"total_file_count":1,"snapshots_count":1}`}, {modeUnique, `[]`},
		{modeUnique, `{"total_size":"1","total_file_count":1,"snapshots_count":1}`},
	} {
		if got, err := parseStats([]byte(tt.in), tt.mode); err == nil {
			t.Errorf("%s: %s: no error, %v", tt.mode, tt.in, got)
		}
	}
}

func TestParseLockAndTreeErrors(t *testing.T) {
	for _, in := range []string{"", "{}", `{"time":"2026-11-25T15:55:14Z"}`, `{"exclusive":true}`, "[]"} {
		if got, err := parseLock("a", []byte(in)); err == nil {
			t.Errorf("lock %s: no error, %v", in, got)
		}
		if got, err := parseTree([]byte(in)); err == nil {
			t.Errorf("tree %s: no error, %v", in, got)
		}
	}
	if got, err := parseIDs([]byte("repository 3d5f opened\n")); err == nil {
		t.Errorf("ids: no error, %v", got)
	}
}

// Texts of restic 0.14 and 0.18 and of the backends' own messages.
func TestReasons(t *testing.T) {
	where := "\nIs there a repository at the following location?\nx\n"
	for _, tt := range []struct {
		code   int
		stderr string
		want   reason
	}{
		{10, "anything", reasonMissing},
		{11, "anything", reasonLocked},
		{12, "anything", reasonWrongPassword},
		{1, "Fatal: wrong password or no key found", reasonWrongPassword},
		{1, "Fatal: an empty password is not a password", reasonWrongPassword},
		{1, "Fatal: unable to open config file: stat /none/config: no such file or directory" + where, reasonMissing},
		{1, "Fatal: unable to open config file: client.GetObject: The specified key does not exist." + where, reasonMissing},
		{1, "Fatal: unable to open config file: client.HeadObject: The specified bucket does not exist" + where, reasonMissing},
		{1, "Fatal: unable to open config file: unexpected HTTP response (404): 404 Not Found" + where, reasonMissing},
		{1, "Fatal: unable to open config file: unexpected HTTP response (500): 500 Internal Server Error" + where, reasonBackend},
		{1, "Fatal: unable to open config file: client.Head: dial tcp 127.0.0.1:1: connect: connection refused" + where, reasonBackend},
		{1, "Fatal: unable to open config file: Head \"https://a\": dial tcp: lookup a: no such host" + where, reasonBackend},
		{1, "Fatal: unable to open config file: something that nobody has seen" + where, reasonBackend},
		{1, "Fatal: unable to open repository at s3:http://a/b: s3.getCredentials: no credentials found.", reasonBackend},
		{1, "unable to create lock in backend: repository is already locked by PID 1 on a by root", reasonLocked},
		{1, `{"message_type":"exit_error","code":1,"message":"Fatal: unable to open config file: context canceled\nIs there a repository at the following location?\nx"}`, reasonBackend},
		{1, "", reasonOther},
		{2, "panic: runtime error", reasonOther},
	} {
		if got := exitReason(tt.code, tt.stderr); got != tt.want {
			t.Errorf("%d %s: %s, want %s", tt.code, tt.stderr, got, tt.want)
		}
	}
	retrying := `Stat(<config/>) returned error, retrying after 877ms: Head "http://u:p@127.0.0.1:1/config": dial tcp 127.0.0.1:1: connect: connection refused`
	if got := killedReason(retrying); got != reasonBackend {
		t.Errorf("killed while it retried: %s", got)
	}
	if got := killedReason(""); got != reasonTimeout {
		t.Errorf("killed: %s", got)
	}
	if got := message(retrying); strings.Contains(got, "u:p") {
		t.Errorf("credentials in %s", got)
	}
}

func TestParseCheck(t *testing.T) {
	one, none := 1.0, 0.0
	for _, tt := range []struct {
		name, out string
		errors    float64
		broken    *float64
		ok        bool
	}{
		{"0.14 good", "load indexes\nno errors were found\n", 0, nil, true},
		{"0.14 bad", "Pack ID does not match, want 75dc, got d5b1\nFatal: repository contains errors\n", 1, nil, true},
		{"0.14 index", "error loading index 12: x\nFatal: LoadIndex returned errors\n", 1, nil, true},
		{"0.18 good", `{"message_type":"summary","num_errors":0,"broken_packs":null}`, 0, &none, true},
		{"0.18 bad", `{"message_type":"error","message":"pack x contains 2 errors"}` + "\n" + `{"message_type":"summary","num_errors":1,"broken_packs":["99"]}` + "\n" + `{"message_type":"exit_error","code":1,"message":"Fatal: repository contains errors"}`, 1, &one, true},
		{"0.18 failed otherwise", `{"message_type":"summary","num_errors":1,"broken_packs":null}` + "\n" + `{"message_type":"exit_error","code":11,"message":"unable to create lock"}`, 1, &none, false},
		{"cut off", "load indexes\ncheck all packs\n", 0, nil, false},
		{"empty", "", 0, nil, false},
	} {
		got, ok := parseCheck(tt.out)
		same := (got.broken == nil) == (tt.broken == nil) && (got.broken == nil || *got.broken == *tt.broken)
		if ok != tt.ok || ok && (got.errors != tt.errors || !same) {
			t.Errorf("%s: %+v, %v", tt.name, got, ok)
		}
	}
}

// Parts take turns, one that failed is read again in between, one that was
// skipped comes last, and a cycle is complete only when all are verified.
func TestCheckCycle(t *testing.T) {
	now := time.Unix(1e9, 0)
	var m checkMemory
	step := func(want int, r partResult) {
		t.Helper()
		now = now.Add(time.Hour)
		part := m.next(3)
		if part != want {
			t.Fatalf("part %d, want %d (%v)", part, want, m.Results)
		}
		switch r {
		case skipped:
			m.skip(part, reasonLocked)
		case damaged:
			m.record(part, checkResult{errors: 2}, now)
		default:
			m.record(part, checkResult{}, now)
		}
	}
	step(1, verified)
	step(2, skipped)
	step(3, damaged)
	if m.Success || m.count(verified) != 1 || m.count(skipped) != 1 || m.count(damaged) != 1 || m.Skipped[reasonLocked] != 1 {
		t.Errorf("%+v", m)
	}
	step(2, verified)
	if m.Success {
		t.Error("part 3 is damaged, but the last check of another makes it a success")
	}
	step(3, damaged)
	step(3, verified)
	if !m.Success || !m.Cycle.Equal(now) || len(m.Results) != 0 {
		t.Errorf("cycle not complete: %+v", m)
	}
	step(1, verified)
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	m = checkMemory{}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	step(2, verified)
}

func TestRetention(t *testing.T) {
	at := func(days ...int) []snapshot {
		var list []snapshot
		for _, d := range days {
			list = append(list, snapshot{time: time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC).AddDate(0, 0, d)})
		}
		return list
	}
	for _, tt := range []struct {
		name       string
		rule       string
		keep       int
		list       []snapshot
		since      time.Time
		most       int
		have, want int
	}{
		{"young", "daily", 7, at(0, 1, 2), time.Time{}, 3, 3, 2},
		{"full", "daily", 7, at(3, 4, 5, 6, 7, 8, 9), at(0)[0].time, 9, 7, 7},
		{"forget took too much", "daily", 7, at(8, 9), at(0)[0].time, 9, 2, 7},
		{"weeks", "weekly", 5, at(0, 7, 14, 21, 28, 35), time.Time{}, 6, 5, 5},
		{"years", "yearly", 3, at(0, 364, 365), time.Time{}, 3, 2, 1},
		{"last", "last", 5, at(0, 1), time.Time{}, 4, 2, 4},
		{"last, young", "last", 5, at(0, 1), time.Time{}, 2, 2, 2},
	} {
		rules := Retention{tt.keep, tt.keep, tt.keep, tt.keep, tt.keep, tt.keep}.rules()
		rule := rules[slices.Index(ruleNames(), tt.rule)]
		known := groupMemory{First: tt.since, Most: tt.most}
		if known.First.IsZero() {
			known.First = tt.list[0].time
		}
		if have, want := rule.compare(tt.list, known); have != tt.have || want != tt.want {
			t.Errorf("%s: %d of %d, want %d of %d", tt.name, have, want, tt.have, tt.want)
		}
	}
}

func FuzzParsers(f *testing.F) {
	for _, path := range []string{"snapshots.json", "stats-raw-data.json", "list-locks.txt"} {
		for _, version := range []string{"v0.14", "v0.18"} {
			seed, err := os.ReadFile(filepath.Join("testdata", version, path))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(seed)
		}
	}
	f.Add([]byte(`{"nodes":[{"name":"a","type":"file","size":3,"content":["b"]}]}`))
	f.Add([]byte(`{"time":"2026-11-25T16:00:00Z","exclusive":false}`))
	f.Add([]byte(`{"message_type":"summary","num_errors":1,"broken_packs":["a"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, err := parseSnapshots(data); err == nil {
			for _, group := range (&listing{snapshots: list}).groups() {
				for _, rule := range (Retention{1, 2, 3, 4, 5, 6}).rules() {
					have, want := rule.compare(group, (&memory{}).group(keyOf(group[0]), group))
					if have > rule.keep || want > rule.keep || have < 0 || want < 1 {
						t.Errorf("%s: %d of %d", rule.name, have, want)
					}
				}
			}
		}
		for _, mode := range []string{modeRaw, modeRestore, modeUnique} {
			_, _ = parseStats(data, mode)
		}
		_, _ = parseIDs(data)
		_, _ = parseLock("x", data)
		_, _ = parseTree(data)
		if r, ok := parseCheck(string(data)); ok && r.errors < 0 {
			t.Errorf("%v errors", r.errors)
		}
		if strings.Contains(redactURLs("rest:http://u:secret@h/"+string(data)), "u:secret@") {
			t.Error("credentials are shown")
		}
	})
}

// Names are stored as Go writes strings; restic dump wants them as they are.
func TestParseTreeNames(t *testing.T) {
	nodes, err := parseTree([]byte(`{"nodes":[{"name":"mnt-my\\\\x2ddisk.mount","type":"file"},{"name":"a\\\"b","type":"file"},{"name":"at 9\\u202fAM","type":"file"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`mnt-my\x2ddisk.mount`, `a"b`, "at 9\u202fAM"} {
		if nodes[i].Name != want {
			t.Errorf("%q, want %q", nodes[i].Name, want)
		}
	}
}

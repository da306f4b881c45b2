package restic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// snapshot is one of restic's snapshots. Its time keeps the zone of the host
// that made it, in which restic forget counts days.
type snapshot struct {
	id       string
	tree     string
	time     time.Time
	host     string
	username string
	version  string
	paths    []string
	tags     []string
	summary  *summary
}

// summary is what the backup counted; nil before restic 0.17.
type summary struct {
	Start      *time.Time `json:"backup_start"`
	End        *time.Time `json:"backup_end"`
	New        *float64   `json:"files_new"`
	Changed    *float64   `json:"files_changed"`
	Unmodified *float64   `json:"files_unmodified"`
	Added      *float64   `json:"data_added"`
	Packed     *float64   `json:"data_added_packed"`
	Processed  *float64   `json:"total_bytes_processed"`
}

// decodeAll decodes one JSON value and nothing after it.
func decodeAll(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the JSON value")
	}
	return nil
}

// missing names the keys that are not there: unknown is not 0.
func missing(required map[string]bool) error {
	for key, there := range required {
		if !there {
			return fmt.Errorf("no key %q", key)
		}
	}
	return nil
}

// parseSnapshots reads `restic snapshots --json` of restic 0.14 to 0.19:
//
//	[{"time":"2026-11-25T15:55:14.528613297+01:00","tree":"63e5...","paths":["/home"],
//	  "hostname":"vulcan","username":"root","tags":["daily"],"program_version":"restic 0.18.0",
//	  "summary":{"files_new":1,"data_added":300707,...},"id":"3359...","short_id":"3359e395"}]
func parseSnapshots(data []byte) ([]snapshot, error) {
	var list []struct {
		Time     *time.Time `json:"time"`
		Tree     string     `json:"tree"`
		Paths    *[]string  `json:"paths"`
		Host     string     `json:"hostname"`
		Username string     `json:"username"`
		Tags     []string   `json:"tags"`
		Version  string     `json:"program_version"`
		Summary  *summary   `json:"summary"`
		ID       string     `json:"id"`
	}
	if err := decodeAll(data, &list); err != nil {
		return nil, err
	}
	if list == nil {
		return nil, errors.New("null instead of a list")
	}
	found := make([]snapshot, len(list))
	for i, s := range list {
		err := missing(map[string]bool{"time": s.Time != nil, "paths": s.Paths != nil, "id": s.ID != "", "tree": s.Tree != ""})
		if err != nil {
			return nil, fmt.Errorf("snapshot %d: %w", i, err)
		}
		found[i] = snapshot{
			id: s.ID, tree: s.Tree, time: *s.Time, host: s.Host, username: s.Username,
			version: strings.TrimPrefix(s.Version, "restic "), paths: *s.Paths, tags: s.Tags, summary: s.Summary,
		}
	}
	return found, nil
}

// The modes of restic stats.
const (
	modeRaw     = "raw-data"
	modeRestore = "restore-size"
	modeUnique  = "files-by-contents"
)

// statsResult is one answer of restic stats. Files is for the modes that count
// them; the last two are known for repositories that compress.
type statsResult struct {
	Size         float64
	Files, Blobs float64
	Uncompressed *float64 `json:",omitempty"`
	Ratio        *float64 `json:",omitempty"`
}

// parseStats reads `restic stats --json` of at least one snapshot:
//
//	{"total_size":300550,"total_uncompressed_size":300803,"compression_ratio":1.0008,
//	 "compression_progress":100,"total_blob_count":3,"snapshots_count":1}
//
// Mode raw-data has no count of files, though restic 0.14 prints a 0 there.
func parseStats(data []byte, mode string) (statsResult, error) {
	var s struct {
		Size         *float64 `json:"total_size"`
		Files        *float64 `json:"total_file_count"`
		Blobs        *float64 `json:"total_blob_count"`
		Uncompressed *float64 `json:"total_uncompressed_size"`
		Ratio        *float64 `json:"compression_ratio"`
		Snapshots    *float64 `json:"snapshots_count"`
	}
	if err := decodeAll(data, &s); err != nil {
		return statsResult{}, err
	}
	required := map[string]bool{"total_size": s.Size != nil, "snapshots_count": s.Snapshots != nil}
	if mode == modeRaw {
		required["total_blob_count"] = s.Blobs != nil
	} else {
		required["total_file_count"] = s.Files != nil
	}
	if err := missing(required); err != nil {
		return statsResult{}, err
	}
	r := statsResult{Size: *s.Size, Uncompressed: s.Uncompressed, Ratio: s.Ratio}
	if mode == modeRaw {
		r.Blobs = *s.Blobs
	} else {
		r.Files = *s.Files
	}
	return r, nil
}

var hexID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// parseIDs reads one id a line, as `restic list locks` prints them.
func parseIDs(data []byte) ([]string, error) {
	var ids []string
	for line := range strings.Lines(string(data)) {
		id := strings.TrimSpace(line)
		switch {
		case id == "":
		case hexID.MatchString(id):
			ids = append(ids, id)
		default:
			return nil, fmt.Errorf("expected an id, found %.80q", id)
		}
	}
	return ids, nil
}

// lock is one lock of the repository. Time is when it was last renewed, which
// its owner does every 5 minutes.
type lock struct {
	id        string
	time      time.Time
	exclusive bool
	host      string
	username  string
	pid       int
}

// parseLock reads `restic cat lock ID`:
//
//	{"time":"2026-11-25T16:00:00Z","exclusive":false,"hostname":"vulcan","username":"root","pid":123}
func parseLock(id string, data []byte) (lock, error) {
	var l struct {
		Time      *time.Time `json:"time"`
		Exclusive *bool      `json:"exclusive"`
		Host      string     `json:"hostname"`
		Username  string     `json:"username"`
		PID       int        `json:"pid"`
	}
	if err := decodeAll(data, &l); err != nil {
		return lock{}, err
	}
	if err := missing(map[string]bool{"time": l.Time != nil, "exclusive": l.Exclusive != nil}); err != nil {
		return lock{}, err
	}
	return lock{id: id, time: *l.Time, exclusive: *l.Exclusive, host: l.Host, username: l.Username, pid: l.PID}, nil
}

// node is an entry of a folder in a snapshot.
type node struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Size    int64    `json:"size"`
	Content []string `json:"content"`
	Subtree string   `json:"subtree"`
}

// parseTree reads a folder, as `restic cat blob ID` prints it:
//
//	{"nodes":[{"name":"a","type":"file","size":300000,"content":["ba1c..."]},
//	          {"name":"b","type":"dir","subtree":"9e01..."}]}
func parseTree(data []byte) ([]node, error) {
	var tree struct {
		Nodes *[]node `json:"nodes"`
	}
	if err := decodeAll(data, &tree); err != nil {
		return nil, err
	}
	if tree.Nodes == nil {
		return nil, errors.New(`no key "nodes"`)
	}
	for i, n := range *tree.Nodes {
		// Stored as Go writes a string, without the quotes around it.
		name, err := strconv.Unquote(`"` + n.Name + `"`)
		if err != nil {
			return nil, fmt.Errorf("name %q: %w", n.Name, err)
		}
		(*tree.Nodes)[i].Name = name
	}
	return *tree.Nodes, nil
}

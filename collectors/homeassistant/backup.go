package homeassistant

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vulcan.lan/vulcan_exporter/internal/metric"
)

const (
	maxManifest = 4 << 20
	maxMembers  = 10_000
	block       = 512 // of a tar
)

// file is a *.tar as it was when it was read.
type file struct {
	size     int64
	modified time.Time
	backup   *backup // nil: not a whole backup
}

// backup is what backup.json says.
type backup struct {
	date                time.Time
	encrypted, database bool
	core                bool // Home Assistant itself is in it
}

// readBackups reads the folders. A folder or file that may not be read is an error, for what is
// not seen is not absent; nothing is emitted then.
func (h *home) readBackups(ctx context.Context, out *metric.Batch) error {
	now := map[string]file{}
	for _, dir := range h.cfg.Backups {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !strings.HasSuffix(e.Name(), ".tar") || e.IsDir() {
				continue
			}
			path := filepath.Join(dir, e.Name())
			f, err := h.examine(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed meanwhile
			}
			if err != nil {
				return err
			}
			now[path] = f
		}
	}
	h.known = now
	emitBackups(now, out)
	return nil
}

// examine reads a file unless it is known as it is.
func (h *home) examine(path string) (file, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return file{}, err
	}
	f, known := h.known[path]
	if known && f.size == stat.Size() && f.modified.Equal(stat.ModTime()) {
		return f, nil
	}
	f = file{size: stat.Size(), modified: stat.ModTime()}
	if !stat.Mode().IsRegular() {
		return f, nil
	}
	r, err := os.Open(path)
	if err != nil {
		return file{}, err
	}
	defer func() { _ = r.Close() }()
	found, err := parseBackup(r, f.size)
	var failed *fs.PathError // of the disk, not of the content
	if errors.As(err, &failed) {
		return file{}, err
	}
	if err != nil {
		h.logger.Debug("no whole backup", "file", path, "err", err)
		return f, nil
	}
	f.backup = &found
	return f, nil
}

// parseBackup reads the headers of a tar of the given size, seeking over what is between them,
// and the one small member backup.json. The tar has to end as tars do: one that is being written
// or was cut does not.
//
//	./backup.json ./homeassistant.tar.gz core_mosquitto.tar.gz
func parseBackup(r io.ReadSeeker, size int64) (backup, error) {
	var found *backup
	core := false
	members := tar.NewReader(r)
	for n := 0; ; n++ {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return backup{}, err
		}
		if n == maxMembers {
			return backup{}, fmt.Errorf("more than %d members", maxMembers)
		}
		switch strings.TrimPrefix(header.Name, "./") {
		case "backup.json", "snapshot.json":
			b, err := parseManifest(io.LimitReader(members, maxManifest))
			if err != nil {
				return backup{}, err
			}
			found = &b
		case "homeassistant.tar", "homeassistant.tar.gz":
			core = true
		}
	}
	if found == nil {
		return backup{}, errors.New("no backup.json")
	}
	if found.core && !core {
		return backup{}, errors.New("no homeassistant.tar, which backup.json names")
	}
	end := make([]byte, block)
	if _, err := r.Seek(size-block, io.SeekStart); err != nil {
		return backup{}, errors.New("too short")
	}
	if _, err := io.ReadFull(r, end); err != nil {
		return backup{}, err
	}
	if !bytes.Equal(end, make([]byte, block)) {
		return backup{}, errors.New("the end of the archive is missing")
	}
	return *found, nil
}

// parseManifest reads a backup.json of any age.
//
//	{"slug":"a1b2c3d4","version":2,"name":"Automatic","date":"2026-10-31T04:45:00+01:00",
//	 "type":"partial","protected":true,"crypto":"aes128","compressed":true,
//	 "homeassistant":{"version":"2026.10.1","exclude_database":false},
//	 "extra":{"supervisor.backup_request_date":"2026-10-31T04:44:58+01:00"}}
func parseManifest(r io.Reader) (backup, error) {
	var m struct {
		Date          string
		Protected     bool
		Crypto        *string
		HomeAssistant *struct {
			ExcludeDatabase bool `json:"exclude_database"`
		}
		Extra map[string]any
	}
	if err := json.NewDecoder(r).Decode(&m); err != nil {
		return backup{}, fmt.Errorf("backup.json: %w", err)
	}
	date := m.Date
	if requested, ok := m.Extra["supervisor.backup_request_date"].(string); ok && requested != "" {
		date = requested
	}
	at, err := time.Parse(time.RFC3339, date)
	if err != nil {
		return backup{}, fmt.Errorf("backup.json: %w", err)
	}
	b := backup{date: at, core: m.HomeAssistant != nil, encrypted: m.Protected || m.Crypto != nil && *m.Crypto != ""}
	b.database = b.core && !m.HomeAssistant.ExcludeDatabase
	return b, nil
}

func emitBackups(files map[string]file, out *metric.Batch) {
	var whole []file
	unreadable, total := 0, 0.0
	for _, f := range files {
		if f.backup == nil {
			unreadable++
			continue
		}
		whole = append(whole, f)
		total += float64(f.size)
	}
	out.Gauge(backups, float64(len(whole)))
	out.Gauge(backupsUnreadable, float64(unreadable))
	out.Gauge(backupsSize, total)
	if len(whole) == 0 {
		return
	}
	slices.SortFunc(whole, func(a, b file) int {
		return cmp.Or(a.backup.date.Compare(b.backup.date), cmp.Compare(a.size, b.size))
	})
	last := whole[len(whole)-1]
	out.Time(oldest, whole[0].backup.date)
	out.Time(newest, last.backup.date)
	out.Gauge(newestSize, float64(last.size))
	out.Bool(newestEncrypted, last.backup.encrypted)
	if last.backup.core {
		out.Bool(newestDatabase, last.backup.database)
	}
	slices.SortFunc(whole, func(a, b file) int { return cmp.Compare(a.size, b.size) })
	out.Gauge(medianSize, float64(whole[len(whole)/2].size+whole[(len(whole)-1)/2].size)/2)
}

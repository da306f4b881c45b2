package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"vulcan.lan/vulcan_exporter/collectors/certificate/bundle"
	"vulcan.lan/vulcan_exporter/collectors/certificate/chain"
)

// Watcher reads sets of files, each file once for each of its states.
type Watcher struct {
	Sets  []Set
	Trust *Trust

	records map[string]*Record
	reads   int // files that were read and parsed, in all passes
}

// Pass is what all sets held at one moment.
type Pass struct {
	Groups []Group
	// Records are the files, each once although several paths may lead to it, in the order
	// of the sets.
	Records []*Record

	byPath map[string]*Record
}

// Record is that of a path, nil where nothing was found there.
func (p *Pass) Record(path string) *Record { return p.byPath[path] }

// Scan looks at all files. A context that ends stops it between two files.
func (w *Watcher) Scan(ctx context.Context, now time.Time) (*Pass, error) {
	w.Trust.refresh()
	pass := &Pass{}
	kept := make(map[string]*Record, len(w.records))
	shown := map[[2]uint64]bool{}
	for i := range w.Sets {
		groups := w.Sets[i].expand()
		pass.Groups = append(pass.Groups, groups...)
		for _, g := range groups {
			for _, path := range g.Paths {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				if kept[path] != nil {
					continue
				}
				r := w.record(path, g, now)
				if r == nil {
					continue // gone since the folder was read
				}
				kept[path] = r
				if id := r.file(); id == [2]uint64{} || !shown[id] {
					shown[id] = true
					pass.Records = append(pass.Records, r)
				}
			}
		}
	}
	w.records, pass.byPath = kept, kept
	return pass, nil
}

// Equal reports whether two passes show the same.
func (p *Pass) Equal(o *Pass) bool {
	if p == nil || o == nil {
		return p == o
	}
	same := func(a, b Group) bool {
		return a.Pattern == b.Pattern && a.Exists == b.Exists && a.Reason == b.Reason && len(a.Paths) == len(b.Paths)
	}
	return slices.EqualFunc(p.Groups, o.Groups, same) && slices.EqualFunc(p.Records, o.Records, (*Record).equal)
}

func (r *Record) file() [2]uint64 {
	return [2]uint64{r.stamps[0].stamp.device, r.stamps[0].stamp.inode}
}

func (w *Watcher) record(path string, g Group, now time.Time) *Record {
	if r := w.records[path]; r != nil && r.current(w.Trust.generation, now) {
		return r
	}
	w.reads++
	content, at, reason := read(path)
	defer clear(content) // it may hold a private key
	if at == (stamp{}) && reason == "" {
		return nil
	}
	r := &Record{
		Path: path, Type: g.Set.Type, Name: Name(path), Reason: reason,
		stamps: []stamped{{path, at, reason}}, generation: w.Trust.generation, readAt: now,
	}
	if r.Reason == Unreadable || reason != "" {
		return r
	}
	password, err := g.Set.password()
	b := bundle.Parse(content, password)
	r.Reason = Reason(b.Problem)
	if err != nil && b.Problem == bundle.Unsupported {
		r.Reason = Reason(bundle.Password)
	}
	if r.Reason == "" && g.Literal && len(b.Certificates)+len(b.CRLs) == 0 {
		r.Reason = Reason(bundle.NoCertificate) // a file that was named holds something else
	}
	r.describe(b, g.Set, w.Trust, now)
	return r
}

func (s *Set) password() (string, error) {
	if s.Password == nil {
		return "", nil
	}
	return s.Password()
}

// describe fills in what is shown of the content.
func (r *Record) describe(b bundle.Bundle, set *Set, trust *Trust, now time.Time) {
	r.Facts = Facts(b.Certificates)
	for _, list := range b.CRLs {
		crl := CRL{Issuer: cut(bundle.Name(list.RawIssuer)), ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate, Revoked: len(list.RevokedCertificateEntries)}
		if list.Number != nil {
			crl.Number = list.Number.String()
		}
		r.CRLs = append(r.CRLs, crl)
	}
	leaf := chain.Leaf(b.Certificates)
	if leaf < 0 {
		return
	}
	r.Leaf = Digest(b.Certificates[leaf])
	r.compareKey(b, b.Certificates[leaf], set)
	if current, ok := trust.Current(); ok {
		r.Verdict, r.Judged = current.File(b.Certificates, now)
	}
}

// Digest identifies a certificate: SHA-256 over it, in hexadecimal.
func Digest(c *bundle.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// compareKey looks for the private key in the file, then beside it.
func (r *Record) compareKey(b bundle.Bundle, leaf *bundle.Certificate, set *Set) {
	if len(b.Keys) > 0 || b.KeyProblem != "" {
		r.matchKeys(b, leaf)
		return
	}
	if len(chain.Ends(b.Certificates)) != 1 {
		return // a store of roots has no key
	}
	candidates, guessed := set.keyPaths(r.Path)
	for _, path := range candidates {
		if path == r.Path {
			continue
		}
		content, at, reason := read(path)
		r.stamps = append(r.stamps, stamped{path, at, reason})
		switch {
		case at == (stamp{}) && reason == "" && guessed:
			continue
		case at == (stamp{}) && reason == "":
			r.KeyReason = bundle.KeyMissing
		case at == (stamp{}) && guessed:
			continue // in a folder that may not be entered: nobody said that it is there
		case reason != "":
			r.KeyReason = bundle.KeyUnreadable
		default:
			r.matchKeys(bundle.Parse(content, ""), leaf)
			clear(content)
		}
		return
	}
}

func (r *Record) matchKeys(b bundle.Bundle, leaf *bundle.Certificate) {
	if len(b.Keys) == 0 {
		if r.KeyReason = b.KeyProblem; r.KeyReason == "" {
			r.KeyReason = bundle.KeyMalformed
		}
		return
	}
	found := false
	for _, key := range b.Keys {
		matches, known := leaf.Matches(key)
		if !known {
			r.KeyReason = bundle.KeyUnsupported
			return
		}
		found = found || matches
	}
	r.KeyMatches = &found
}

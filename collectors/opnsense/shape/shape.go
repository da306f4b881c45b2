// Package shape learns which fields the answers of an API have and of which
// type, and tells when that changes, as it does after a firmware update.
//
// A path joins keys by dots and stands for all elements of an array as []. A
// field may have several types (rows that differ). Nothing is said during the
// first samples of an endpoint; afterwards a new field, a type that a field
// never had, and a field that stays away while the object around it is there,
// are each told once, the outermost of what came together. null, [] and {} are
// no types, since PHP writes an empty map as a list, and what an object or list
// holds is learned when it first holds something.
package shape

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is how a field changed.
type Kind string

// The kinds of change.
const (
	Added   Kind = "added"   // a field that was never seen
	Removed Kind = "removed" // a field that stays away
	Type    Kind = "type"    // a type that the field never had
)

// Kinds are all kinds of change.
func Kinds() []string { return []string{string(Added), string(Removed), string(Type)} }

// Change is one difference to what was learned.
type Change struct {
	Endpoint, Field string
	Kind            Kind
	// Was and Is are JSON types, comma-joined; empty where there was no field.
	Was, Is string
}

const (
	// every is the least time between two samples of an endpoint: the cost of
	// reading a body a second time is paid once a minute.
	every = time.Minute
	// learning is the number of samples in which nothing is told.
	learning = 10
	// away is the number of samples in a row that make a field removed.
	away = 10
	// maxFields bounds what is kept of one endpoint; further fields are not
	// watched.
	maxFields = 2000
	// maxDepth bounds the nesting that is looked into.
	maxDepth = 32
)

// MaxBody is the size up to which a body should be sampled, in bytes.
const MaxBody = 1 << 20

// Learner holds the shapes of one API. It is safe for concurrent use.
type Learner struct {
	mu        sync.Mutex
	endpoints map[string]*Endpoint
	sampled   map[string]time.Time
	dynamic   map[string][]string
	changed   bool
}

// Endpoint is what is known of one endpoint, as it is kept in the state.
type Endpoint struct {
	Samples int               `json:"samples"`
	Fields  map[string]*Field `json:"fields"`
	// LastChanges is when a change of a kind was told last, without kinds that never were.
	LastChanges map[Kind]time.Time `json:"last_changes,omitempty"`
}

// Field is one learned field.
type Field struct {
	Types  []string `json:"types,omitempty"`
	Parent string   `json:"parent,omitempty"`
	// Optional fields went away before and came back.
	Optional bool `json:"optional,omitempty"`
	Missing  int  `json:"missing,omitempty"`
	Gone     bool `json:"gone,omitempty"`
}

// New makes a Learner. dynamic names, for an endpoint, the objects whose keys
// are data (a map by interface) rather than fields.
func New(dynamic map[string][]string) *Learner {
	return &Learner{endpoints: map[string]*Endpoint{}, sampled: map[string]time.Time{}, dynamic: dynamic}
}

// Due tells whether the endpoint's next body should be observed, and if so
// counts on it.
func (l *Learner) Due(endpoint string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.sampled[endpoint]
	if !last.IsZero() && now.Sub(last) < every && !now.Before(last) {
		return false
	}
	l.sampled[endpoint] = now
	return true
}

// Observe learns from one body and returns what it changed, by field. A body
// that is not JSON changes nothing.
func (l *Learner) Observe(endpoint string, body []byte, now time.Time) []Change {
	s := sample{dec: json.NewDecoder(bytes.NewReader(body)), dynamic: l.dynamic[endpoint], seen: map[string]*Field{}}
	if err := s.walk("", "", 0); err != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.endpoints[endpoint]
	if e == nil {
		e = &Endpoint{Fields: map[string]*Field{}}
		l.endpoints[endpoint] = e
	}
	e.Samples++
	changes := e.compare(s.seen)
	l.changed = l.changed || len(changes) > 0 || e.Samples <= learning
	if e.Samples <= learning {
		return nil
	}
	for i := range changes {
		changes[i].Endpoint = endpoint
		if e.LastChanges == nil {
			e.LastChanges = map[Kind]time.Time{}
		}
		e.LastChanges[changes[i].Kind] = now
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Field, b.Field) })
	return changes
}

// compare takes what was seen into what is known.
func (e *Endpoint) compare(seen map[string]*Field) (changes []Change) {
	inhabited := map[string]bool{}
	for _, known := range e.Fields {
		inhabited[known.Parent] = true
	}
	for path, now := range seen {
		known := e.Fields[path]
		switch {
		case known == nil && len(e.Fields) >= maxFields:
		case known == nil:
			e.Fields[path] = now
			if inhabited[now.Parent] {
				changes = append(changes, Change{Field: path, Kind: Added, Is: now.types()})
			}
		case known.Gone:
			known.Gone, known.Missing, known.Optional = false, 0, true
			known.learn(now.Types)
			changes = append(changes, Change{Field: path, Kind: Added, Is: now.types()})
		default:
			known.Missing = 0
			was := known.types()
			if fresh := known.learn(now.Types); len(fresh) > 0 && was != "" {
				changes = append(changes, Change{Field: path, Kind: Type, Was: was, Is: strings.Join(fresh, ",")})
			}
		}
	}
	for path, known := range e.Fields {
		if seen[path] != nil || known.Gone || known.Optional || strings.HasSuffix(path, "[]") || path == "" {
			continue
		}
		if around := seen[known.Parent]; around == nil || !slices.Contains(around.Types, "object") {
			continue // the object that it belongs to is not there either
		}
		if known.Missing++; known.Missing >= away {
			known.Gone = true
			changes = append(changes, Change{Field: path, Kind: Removed, Was: known.types()})
		}
	}
	return changes
}

// learn adds types and returns those that are new.
func (f *Field) learn(types []string) (fresh []string) {
	for _, t := range types {
		if !slices.Contains(f.Types, t) {
			f.Types = append(f.Types, t)
			fresh = append(fresh, t)
		}
	}
	slices.Sort(f.Types)
	return fresh
}

func (f *Field) types() string { return strings.Join(f.Types, ",") }

// Endpoints tells, for each endpoint whose shape is learned, how many fields
// are watched and when a change of a kind was told last. The map is the Learner's own.
func (l *Learner) Endpoints(report func(endpoint string, fields int, lastChanges map[Kind]time.Time)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(l.endpoints)) {
		e := l.endpoints[name]
		if e.Samples < learning {
			continue
		}
		fields := 0
		for _, f := range e.Fields {
			if !f.Gone {
				fields++
			}
		}
		report(name, fields, e.LastChanges)
	}
}

// Export calls save with all that is known, if that changed since the last
// time it was saved without an error.
func (l *Learner) Export(save func(map[string]*Endpoint) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.changed {
		return nil
	}
	err := save(l.endpoints)
	l.changed = err != nil
	return err
}

// Import takes what Export gave.
func (l *Learner) Import(endpoints map[string]*Endpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, e := range endpoints {
		if e == nil {
			continue
		}
		if e.Fields == nil {
			e.Fields = map[string]*Field{}
		}
		maps.DeleteFunc(e.Fields, func(_ string, f *Field) bool { return f == nil })
		l.endpoints[name] = e
	}
}

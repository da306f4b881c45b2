package files

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Set is a group of files of one type.
type Set struct {
	// Type is what the operator calls the files.
	Type string
	// Paths are paths and patterns (*, ?, [a-z], {a,b}, and ** for any folders).
	Paths []string
	// Exclude are patterns of paths, or of names where they hold no slash.
	Exclude []string
	// Key is the path of the private key with {dir} and {stem}; "" looks beside the certificate.
	Key string
	// Password gives the password of PKCS#12 files.
	Password func() (string, error)
	// Optional sets may match nothing.
	Optional bool
}

// Group is what one path or pattern of a set stands for.
type Group struct {
	Set     *Set
	Pattern string
	// Literal is set for a path without wildcards.
	Literal bool
	// Exists tells of a literal path whether something is there.
	Exists bool
	// Paths are the matching files, sorted.
	Paths []string
	// Reason is set where a folder on the way could not be read, so that files may be missed.
	Reason Reason
}

// IsPattern reports whether a path has wildcards.
func IsPattern(path string) bool { return strings.ContainsAny(path, `*?[{\`) }

// ValidPattern reports whether a pattern is well-formed.
func ValidPattern(pattern string) bool { return doublestar.ValidatePathPattern(pattern) }

// expand finds the files of a set.
func (s *Set) expand() []Group {
	groups := make([]Group, 0, len(s.Paths))
	for _, path := range s.Paths {
		g := Group{Set: s, Pattern: path, Literal: !IsPattern(path)}
		if g.Literal {
			at, reason := look(path)
			g.Exists = reason != "" || at != (stamp{})
			if g.Exists {
				g.Paths = []string{path}
			}
		} else {
			g.Paths, g.Reason = s.glob(path)
		}
		groups = append(groups, g)
	}
	return groups
}

func (s *Set) glob(pattern string) ([]string, Reason) {
	var reason Reason
	found, err := doublestar.FilepathGlob(pattern, doublestar.WithFailOnIOErrors())
	if err != nil {
		// By default the library passes over a folder that it cannot read. What can be
		// read is shown, and that it is not all is said.
		reason = Unreadable
		found, _ = doublestar.FilepathGlob(pattern)
	}
	found = slices.DeleteFunc(found, s.excluded)
	slices.Sort(found)
	return found, reason
}

func (s *Set) excluded(path string) bool {
	for _, pattern := range s.Exclude {
		subject := path
		if !strings.Contains(pattern, "/") {
			subject = filepath.Base(path)
		}
		if doublestar.PathMatchUnvalidated(pattern, subject) {
			return true
		}
	}
	return false
}

// Name is what a file is called: its name without the extension or, where that says only what
// every such file is, the name of its folder (/etc/letsencrypt/live/example.org/fullchain.pem).
func Name(path string) string {
	switch name := stem(path); name {
	case "cert", "chain", "fullchain", "certificate", "tls", "server":
		return filepath.Base(filepath.Dir(path))
	default:
		return name
	}
}

// stem is a file's name without extension.
func stem(path string) string {
	base := filepath.Base(path)
	if cut := strings.TrimSuffix(base, filepath.Ext(base)); cut != "" {
		return cut
	}
	return base
}

// keyPaths are the places of the private key, the likeliest first. guessed is set where the
// operator named none.
func (s *Set) keyPaths(path string) (paths []string, guessed bool) {
	dir, name := filepath.Dir(path), stem(path)
	if s.Key != "" {
		return []string{strings.NewReplacer("{dir}", dir, "{stem}", name).Replace(s.Key)}, false
	}
	paths = append(paths, filepath.Join(dir, name+".key"))
	for _, suffix := range []string{".fullchain", "-fullchain", ".chain", ".bundle"} {
		if short, ok := strings.CutSuffix(name, suffix); ok {
			paths = append(paths, filepath.Join(dir, short+".key"))
		}
	}
	if filepath.Ext(path) == ".pem" {
		for _, prefix := range []string{"fullchain", "cert"} { // certbot: cert.pem, archive/.../cert3.pem
			if number, ok := strings.CutPrefix(name, prefix); ok && strings.Trim(number, "0123456789") == "" {
				paths = append(paths, filepath.Join(dir, "privkey"+number+".pem"))
			}
		}
		paths = append(paths, filepath.Join(dir, name+"-key.pem"))
	}
	if filepath.Base(dir) == "certs" { // Debian's and Red Hat's pair of folders
		paths = append(paths, filepath.Join(filepath.Dir(dir), "private", name+".key"))
	}
	return paths, true
}

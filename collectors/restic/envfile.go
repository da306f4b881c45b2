package restic

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// environment is what a restic process gets.
type environment map[string]string

func (e environment) location() string {
	return e["RESTIC_REPOSITORY"] + "\x00" + e["RESTIC_REPOSITORY_FILE"]
}

// list is the environment as KEY=value. LC_ALL is the command runner's: the
// messages of restic and of what it calls must be the documented ones.
func (e environment) list() []string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(e)) {
		if key != "LC_ALL" && key != "LANG" {
			list = append(list, key+"="+e[key])
		}
	}
	return list
}

const maxEnvFile = 1 << 20

// readEnvironment reads an env file, or what a service unit gives its process
// (its EnvironmentFile= included).
func readEnvironment(path string) (environment, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxEnvFile {
		return nil, fmt.Errorf("%s is no regular file of at most %d bytes", path, maxEnvFile)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if filepath.Ext(path) != ".service" {
		env, err := parseEnvFile(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return env, nil
	}
	env, files, err := parseUnit(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, file := range files {
		name, optional := strings.CutPrefix(file, "-")
		more, err := readEnvironment(name)
		switch {
		case os.IsNotExist(err) && optional:
		case err != nil:
			return nil, err
		default:
			maps.Copy(env, more) // systemd.exec(5): files override Environment=
		}
	}
	return env, nil
}

var envKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parseEnvFile reads the format of EnvironmentFile= in systemd.exec(5), and of
// shell files that only assign:
//
//	# comment
//	AWS_ACCESS_KEY_ID=abc
//	export RESTIC_PASSWORD="with \"quotes\""
//
// Nothing is expanded. A command substitution cannot be honoured and is an
// error, unless in single quotes. Errors name lines, never values.
func parseEnvFile(content []byte) (environment, error) {
	env := environment{}
	scan := bufio.NewScanner(bytes.NewReader(content))
	scan.Buffer(nil, maxEnvFile+1)
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		for start := n; strings.HasSuffix(line, `\`) && !strings.HasPrefix(line, "#") && scan.Scan(); n++ {
			line = strings.TrimSuffix(line, `\`) + strings.TrimSpace(scan.Text())
			if n-start > 1000 {
				return nil, fmt.Errorf("line %d: continues for more than 1000 lines", start)
			}
		}
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, raw, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		key = strings.TrimSpace(key)
		if !ok || !envKey.MatchString(key) {
			return nil, fmt.Errorf("line %d: expected KEY=value", n)
		}
		value, err := unquote(strings.TrimSpace(raw))
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", n, key, err)
		}
		env[key] = value
	}
	return env, scan.Err()
}

// unquote takes the quotes and backslashes from a value.
func unquote(raw string) (string, error) {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case quote == '\'' && c != '\'', quote == '"' && c == '\'':
			b.WriteByte(c)
		case c == '\\' && i+1 < len(raw):
			i++
			if quote == '"' && !strings.ContainsRune("\"\\$`", rune(raw[i])) {
				b.WriteByte(c)
			}
			b.WriteByte(raw[i])
		case c == '`', c == '$' && i+1 < len(raw) && raw[i+1] == '(':
			return "", fmt.Errorf("a command cannot be run here; use password_file or password_command, or single quotes for the plain text")
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", fmt.Errorf("a quote is not closed")
	}
	return b.String(), nil
}

// parseUnit reads Environment= and EnvironmentFile= of the [Service] section
// of systemd.exec(5):
//
//	[Service]
//	Environment="RESTIC_REPOSITORY=s3:..." "RESTIC_PASSWORD_FILE=/run/secrets/p"
//	EnvironmentFile=-/run/secrets/aws
func parseUnit(content []byte) (environment, []string, error) {
	env := environment{}
	var files []string
	section := ""
	text := strings.ReplaceAll(string(content), "\\\n", " ")
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if section != "[Service]" || !ok || line[0] == '#' || line[0] == ';' {
			continue
		}
		switch {
		case key == "EnvironmentFile" && value == "":
			files = nil
		case key == "EnvironmentFile":
			if !filepath.IsAbs(strings.TrimPrefix(value, "-")) || strings.ContainsAny(value, "*?[%") {
				return nil, nil, fmt.Errorf("line %d: EnvironmentFile= with a glob or specifier is not supported", n+1)
			}
			files = append(files, value)
		case key == "Environment" && value == "":
			clear(env)
		case key == "Environment":
			for _, word := range unitWords(value) {
				if k, v, ok := strings.Cut(word, "="); ok && envKey.MatchString(k) {
					env[k] = strings.ReplaceAll(v, "%%", "%")
				}
			}
		}
	}
	return env, files, nil
}

// unitWords splits a line as systemd does, at spaces outside of quotes.
func unitWords(line string) []string {
	var words []string
	var b strings.Builder
	var quote rune
	started, escaped := false, false
	for _, c := range line {
		switch {
		case escaped:
			b.WriteRune(c)
			escaped = false
		case c == '\\':
			escaped, started = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, started = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if started {
				words = append(words, b.String())
			}
			b.Reset()
			started = false
		default:
			b.WriteRune(c)
			started = true
		}
	}
	if started {
		words = append(words, b.String())
	}
	return words
}

package server

import (
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"

	"vulcan.lan/vulcan_exporter/internal/runner"
)

// mending is what to do about errors of one kind. $1 in the texts is what the
// expression found; in commands it is quoted for a shell.
type mending struct {
	match    *regexp.Regexp
	advice   string
	commands []string
}

// mendings are tried in order; the first match speaks. USER is the exporter's.
var mendings = []mending{
	{regexp.MustCompile(`is in use by another process`),
		"Another process holds this source's state: two exporters share one --storage.path.",
		[]string{"pgrep -a vulcan_exporter"}},
	{regexp.MustCompile(`(?i)d-?bus|/run/systemd/private`),
		"The message bus, or systemd behind it, does not answer.",
		[]string{"systemctl status dbus.socket dbus.service", "systemctl is-system-running"}},
	{regexp.MustCompile(`exec: "([^"]+)": (?:executable file not found|stat )`),
		"The program $1 is not on the exporter's PATH: install its package, or add its folder to PATH= of the service.",
		[]string{"command -v $1", "apt-file search --regexp bin/$1\\$"}},
	{regexp.MustCompile(`(?i)permission denied for (?:table|relation|schema|view|database|function) (\S+)|insufficient.privilege`),
		"The database role lacks a privilege: GRANT it what the collector reads ($1).", nil},
	{regexp.MustCompile(`(?:open|stat|lstat|readdirent|readlink|fork/exec|connect:?|dial unix) (/[^:]*): (?:connect: )?(?:permission denied|operation not permitted)`),
		"The user USER may not use it: it needs x on each folder above and r on the thing itself. The usual way is a group, and SupplementaryGroups= in the unit.",
		[]string{"namei -l $1", "id USER"}},
	{regexp.MustCompile(`(?i)permission denied|operation not permitted|\bEACCES\b|\bEPERM\b`),
		"The user USER lacks a permission; the command below shows which, run as the exporter's user.",
		[]string{"id USER"}},
	{regexp.MustCompile(`dial unix (/[^:]*): connect: (?:no such file or directory|connection refused)`),
		"Nothing listens on this socket: its service is not running, or the path is another one.",
		[]string{"ls -l $1", "ss -xlp"}},
	{regexp.MustCompile(`(?:open|stat|lstat|readlink|chdir|fork/exec) (/[^:]*): no such file or directory`),
		"It does not exist. See which part of the path is missing, or correct the configuration.",
		[]string{"namei -l $1"}},
	{regexp.MustCompile(`(?:dial tcp \S*:(\d+): )?connect: connection refused`),
		"Nothing listens there: the service is down, or listens elsewhere.",
		[]string{"ss -ltnp 'sport = :$1'"}},
	{regexp.MustCompile(`lookup (\S+?)(?: on \S+)?: (?:no such host|server misbehaving|i/o timeout|Temporary failure)`),
		"The name does not resolve.",
		[]string{"getent hosts $1"}},
	{regexp.MustCompile(`(?i)dial tcp \[?([0-9a-f.:]+?)\]?:\d+: .*(?:no route to host|network is unreachable)`),
		"There is no way to that address.",
		[]string{"ip route get $1"}},
	{regexp.MustCompile(`x509: |tls: |certificate (?:signed by unknown|has expired)`),
		"The certificate that was presented is not accepted: expired, of another name, or of a CA that the configuration does not name.", nil},
	{regexp.MustCompile(`(?i)\b401\b|unauthori[sz]ed|authentication failed|WRONGPASS|NOAUTH|invalid.token|wrong.password`),
		"The password, key or token was refused. It is read from its file at each run: correct the file, no reload is needed.", nil},
	{regexp.MustCompile(`(?i)\b403\b|forbidden`),
		"The credentials are right but lack a permission on the other side.", nil},
	{regexp.MustCompile(`no space left on device|disk quota exceeded|read-only file system`),
		"The disk is full or read-only.",
		[]string{"df -h", "findmnt -O ro"}},
	{regexp.MustCompile(`too many open files`),
		"A limit on open files was reached; LimitNOFILE= in the unit raises the exporter's.",
		[]string{"lsof -u USER"}},
	{regexp.MustCompile(`does not return since its deadline|does not die`),
		"It hangs in the kernel: a suspended pool, a dead disk or network mount. No other run starts before this one returns.",
		[]string{`ps -eo pid,stat,wchan:24,args | grep '^ *[0-9]* *D'`, "dmesg -T | tail"}},
	{regexp.MustCompile(`(?i)deadline exceeded|killed after|timed? ?out`),
		"It took too long. Where the command below is slow but ends, raise the source's timeout; where it hangs, what it waits for is the fault.", nil},
}

// mend finds what to do about a failed source.
func (s *Server) mend(v sourceView) (advice string, commands []string) {
	if v.Reason == runner.ReasonPanic || v.Reason == runner.ReasonInvalid {
		return "No other source is affected. Please report the text, with the version.", nil
	}
	for _, m := range mendings {
		found := m.match.FindStringSubmatch(v.Error)
		if found == nil {
			continue
		}
		first := ""
		if len(found) > 1 {
			first = found[1]
		}
		for _, c := range m.commands {
			if strings.Contains(c, "$1") && first == "" {
				continue
			}
			commands = append(commands, strings.NewReplacer("USER", word(s.user), "$1", word(first)).Replace(c))
		}
		return strings.NewReplacer("USER", s.user, " ($1)", optional(first), "$1", first).Replace(m.advice), commands
	}
	return "The command below repeats the run and shows its log; the source's debug page does it here.", nil
}

func optional(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// word quotes a text for a shell. Texts come from error messages and labels,
// so anyone may have written them.
func word(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shell is a command line of the words.
func shell(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = word(w)
	}
	return strings.Join(quoted, " ")
}

// collect is the command line that repeats a source's run as the exporter's
// user, with its configuration.
func (s *Server) collect(id string) string {
	words := []string{"sudo", "-u", s.user}
	if credentials := os.Getenv("CREDENTIALS_DIRECTORY"); credentials != "" { // those of this unit, which may be an instance
		words = append(words, "env", "CREDENTIALS_DIRECTORY="+credentials)
	}
	words = append(words, s.exe)
	if s.opts.ConfigFile != "" {
		words = append(words, "--config.file="+s.opts.ConfigFile)
	}
	if s.opts.StoragePath != "" {
		words = append(words, "--storage.path="+s.opts.StoragePath)
	}
	return shell(append(words, "--log.level=debug", "collect", id)...)
}

// self finds out who and where this process is.
func self() (host, name, exe string) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	name = "root"
	if u, err := user.Current(); err == nil {
		name = u.Username
	} else if os.Geteuid() != 0 {
		name = "vulcan_exporter"
	}
	exe, err = os.Executable()
	if err != nil {
		exe = "vulcan_exporter"
	}
	return host, name, filepath.Clean(exe)
}

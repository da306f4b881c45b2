package restic

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
)

// reason is why restic could not do what it was asked.
type reason = string

const (
	reasonMissing       reason = "missing"
	reasonLocked        reason = "locked"
	reasonWrongPassword reason = "wrong_password"
	reasonTimeout       reason = "timeout"
	reasonBackend       reason = "backend"
	reasonOther         reason = "other"
)

var reasons = [...]reason{reasonMissing, reasonLocked, reasonWrongPassword, reasonTimeout, reasonBackend, reasonOther}

func reasonNames() []string { return reasons[:] }

// failure is restic's word that it failed.
type failure struct {
	reason reason
	text   string
	stderr string
}

func (f *failure) Error() string { return f.reason + ": " + f.text }

// transient tells whether asking again soon may help.
func (f *failure) transient() bool { return f.reason == reasonBackend || f.reason == reasonOther }

// reasonOf is the reason of an error, "" where there is none.
func reasonOf(err error) reason {
	var failed *failure
	switch {
	case err == nil:
		return ""
	case errors.As(err, &failed):
		return failed.reason
	}
	return reasonOther
}

// Exit codes of https://restic.readthedocs.io/en/stable/075_scripting.html:
// 10 and 11 since restic 0.17.0, 12 since 0.17.1. Before, all of them are 1.
const (
	exitMissing       = 10
	exitLocked        = 11
	exitWrongPassword = 12
)

// exitReason is the reason of an exit status with its stderr.
func exitReason(code int, stderr string) reason {
	switch code {
	case exitMissing:
		return reasonMissing
	case exitLocked:
		return reasonLocked
	case exitWrongPassword:
		return reasonWrongPassword
	}
	return textReason(stderr)
}

var (
	// What backends say of a config file that is not there: local and sftp,
	// S3 (an object, a bucket), rest-server and rclone, B2, GCS, Azure, Swift.
	absent = regexp.MustCompile(`(?i)no such file or directory|file does not exist|specified (key|bucket) does not exist|\(404\)|b2_download_file_by_name: 404|object doesn't exist|object not found|BlobNotFound|ContainerNotFound`)
	// What they say when they cannot be asked.
	unreachable = regexp.MustCompile(`(?i)dial (tcp|unix)|connection re(fused|set)|no such host|i/o timeout|network is unreachable|no route to host|TLS handshake|x509:|certificate|unexpected HTTP response|access ?denied|permission denied|forbidden|unauthorized|credentials|signature|service unavailable|too many requests|EOF|broken pipe|input/output error|not a directory|unable to open repository at|invalid access key|bucket name|command exited|unable to start`)
	wrongKey    = regexp.MustCompile(`wrong password or no key found|an empty password is not`)
	lockedText  = regexp.MustCompile(`repository is already locked|unable to create lock in backend`)
)

// textReason reads what restic printed. Before 0.17 it is all there is, and
// "Is there a repository at the following location?" follows every failure to
// open the config file, a refused connection too: only the cause before it
// tells.
func textReason(stderr string) reason {
	switch cause := fatal(stderr); {
	case wrongKey.MatchString(cause):
		return reasonWrongPassword
	case lockedText.MatchString(cause):
		return reasonLocked
	case strings.Contains(cause, "unable to open config file"):
		if absent.MatchString(cause) && !strings.Contains(cause, "no such host") {
			return reasonMissing
		}
		return reasonBackend
	case strings.Contains(cause, "repository does not exist"):
		return reasonMissing
	case unreachable.MatchString(cause):
		return reasonBackend
	default:
		return reasonOther
	}
}

// killedReason is the reason of a call that was killed at its deadline:
// restic 0.17 and later try again until then what fails at once.
func killedReason(stderr string) reason {
	if strings.Contains(stderr, "retrying after") && unreachable.MatchString(stderr) {
		return reasonBackend
	}
	return reasonTimeout
}

// fatal is the message that restic ended with, of all that it printed.
func fatal(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if m, ok := exitMessage(lines[len(lines)-1]); ok {
		return m
	}
	if at := strings.LastIndex(stderr, "Fatal: "); at >= 0 {
		return stderr[at:]
	}
	return stderr
}

// exitMessage reads the last line that restic 0.18 prints with --json:
//
//	{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}
func exitMessage(line string) (string, bool) {
	var m struct {
		Type    string `json:"message_type"`
		Message string `json:"message"`
	}
	if json.Unmarshal([]byte(line), &m) != nil || m.Type != "exit_error" {
		return "", false
	}
	return m.Message, true
}

var userinfo = regexp.MustCompile(`(://)[^/@\s"]*@`)

// redactURLs takes credentials from URLs; restic does so only since 0.16.
func redactURLs(s string) string { return userinfo.ReplaceAllString(s, "${1}***@") }

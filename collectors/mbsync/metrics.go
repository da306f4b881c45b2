package mbsync

import (
	"vulcan.lan/vulcan_exporter/internal/jobs"
	"vulcan.lan/vulcan_exporter/internal/metric"
)

// results are systemd's, of a service (systemd.exec(5), $SERVICE_RESULT) and
// of a start that never became a run. Others show as none of them.
var results = []string{
	"success", "exit-code", "signal", "core-dump", "timeout", "watchdog", "oom-kill",
	"protocol", "resources", "start-limit-hit", "dependency", "assert",
}

var (
	runs = jobs.Declare("mbsync_", "account", "account")

	account = metric.Labels("name", "account")
	side    = metric.Closed("side", "far", "near")
	box     = metric.Labels("account", "mailbox")

	lastResult = metric.NewState("mbsync_last_result",
		"1 for the result that systemd gave the last run; absent where none is known.", results, account)
	lastExitStatus = metric.NewGauge("mbsync_last_exit_status",
		"Exit status of the last run: 0 is success and 1 any error, with --ext-exit plus 32 or 64 for what changed; absent where the process was killed or never ran.", account)
	journalPresent = metric.NewGauge("mbsync_journal_present",
		"1 if an interrupted run left a journal behind, which the next run takes up; absent while a run is going on.", account)

	mailboxMessages = metric.NewGauge("mbsync_mailbox_messages",
		"Messages in the mailbox's Maildir, new and cur.", box)
	mailboxUnseen = metric.NewGauge("mbsync_mailbox_unseen_messages",
		"Messages in the mailbox's Maildir that lack the flag for seen.", box)
	mailboxError = metric.NewGauge("mbsync_mailbox_error",
		"1 for what keeps the messages of a mailbox from being counted.", box,
		metric.Closed("reason", reasonMissing, reasonPermission, reasonIO))

	summaryTime = metric.NewGauge("mbsync_summary_timestamp_seconds",
		"Unix time at which the log was written to, whose last line is the summary of a run.", account)
	summaryAdded = metric.NewGauge("mbsync_summary_new_messages",
		"New messages that the run of the summary stored on a side: near ones were pulled, far ones pushed.", account, side)
	summaryFlagged = metric.NewGauge("mbsync_summary_flag_updates",
		"Messages whose flags the run of the summary changed on a side.", account, side)
	summaryTrashed = metric.NewGauge("mbsync_summary_trashed_messages",
		"Messages that the run of the summary moved to the trash on a side.", account, side)
	summaryExpunged = metric.NewGauge("mbsync_summary_expunged_messages",
		"Messages that the run of the summary deleted on a side.", account, side)
)

var declared = append(runs.All(),
	lastResult, lastExitStatus, journalPresent,
	mailboxMessages, mailboxUnseen, mailboxError,
	summaryTime, summaryAdded, summaryFlagged, summaryTrashed, summaryExpunged,
)

package jobs

import "testing"

func TestStem(t *testing.T) {
	for _, c := range [][3]string{
		{"restic-backups-*.service", "restic-backups-Home.service", "Home"},
		{"postgresql-backup.service", "postgresql-backup.service", "postgresql-backup"},
		{"*-backup.service", "a-b-backup.service", "a-b"},
		{"*backup*.service", "my-backup-x.service", "my-backup-x"},
		{"backup@*.service", "backup@home.service", "home"},
	} {
		if got := stem(c[0], c[1]); got != c[2] {
			t.Errorf("%s matches %s as %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

package systemd

import "testing"

func TestAddress(t *testing.T) {
	for _, test := range []struct {
		user string
		euid int
		want string
	}{
		{"", 0, ""},
		{"1000", 0, "unix:path=/run/user/1000/systemd/private"},
		{"1000", 1000, "unix:path=/run/user/1000/bus"},
		{"root", 0, "unix:path=/run/user/0/bus"},
	} {
		if got, err := Address(test.user, test.euid); err != nil || got != test.want {
			t.Errorf("user %q as %d: %q %v", test.user, test.euid, got, err)
		}
	}
}

package systemd

import (
	"fmt"
	"os/user"
	"strconv"
)

// Address is the D-Bus address of a user's manager, by name or uid, for Hub.Watch; of the
// system's, "", where name is empty. Root (euid 0) is not admitted to a user's bus, but to the
// manager's own socket. The error says that there is no such user.
func Address(name string, euid int) (string, error) {
	if name == "" {
		return "", nil
	}
	uid, err := uidOf(name)
	if err != nil {
		return "", err
	}
	if euid == 0 && uid != 0 {
		return fmt.Sprintf("unix:path=/run/user/%d/systemd/private", uid), nil
	}
	return fmt.Sprintf("unix:path=/run/user/%d/bus", uid), nil
}

func uidOf(name string) (int, error) {
	if uid, err := strconv.Atoi(name); err == nil && uid >= 0 {
		return uid, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("user %q is not known", name)
	}
	return strconv.Atoi(u.Uid)
}

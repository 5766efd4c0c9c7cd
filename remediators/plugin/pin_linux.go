package plugin

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// sealedCopy returns a copy in memory of the pinned file, which nobody can change any more, not even this process.
func sealedCopy(path, pin string) (*os.File, error) {
	fd, err := unix.MemfdCreate("plugin", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // a kernel before 6.3
		fd, err = unix.MemfdCreate("plugin", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("make room for the plugin: %w", err)
	}
	f := os.NewFile(uintptr(fd), "plugin")
	if err := copyPinned(f, path, pin); err != nil {
		_ = f.Close()
		return nil, err
	}
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("seal the plugin: %w", err)
	}
	return f, nil
}

// self is this program, also where its file was replaced since it started.
func self() (string, error) { return "/proc/self/exe", nil }

// endGroup waits for the end of a process without reaping it, so that its group still bears its number, and ends
// whatever else is in the group.
func endGroup(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
}

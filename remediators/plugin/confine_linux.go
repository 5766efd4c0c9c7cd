package plugin

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// systemFolders hold what an executable or an interpreter is made of. Everything else is out of reach.
var systemFolders = []string{
	"/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives", "/dev/null", "/dev/urandom", "/dev/zero",
}

// confine takes from this thread, for good and for what it executes, files outside a few folders and writing to any.
// It returns the filter that takes the rest: sockets, further processes, signals to others, other processes' memory,
// and memory that no limit counts.
func confine(folders []string) (*unix.SockFprog, error) {
	if auditArch == 0 {
		return nil, errors.New("there is no filter of system calls for this kind of processor")
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("no new privileges: %w", err)
	}
	if err := confineFiles(append(append([]string{}, systemFolders...), folders...)); err != nil {
		return nil, err
	}
	p := filter(unix.Getpid())
	return &unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}, nil //nolint:gosec // far below the kernel's limit
}

// Rights of files (linux/landlock.h), by the version of the interface that brought them.
const (
	fileReads = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fileV1    = fileReads | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
)

// handledFiles are the rights that are taken away, as far as this kernel knows them.
func handledFiles(abi uintptr) uint64 {
	rights := uint64(fileV1)
	if abi >= 2 {
		rights |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi >= 3 {
		rights |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi >= 5 {
		rights |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	return rights
}

// confineFiles leaves reading and executing below a few folders (Landlock). A folder that is not there is no mistake.
func confineFiles(folders []string) error {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handledFiles(abi)}
	size := unsafe.Sizeof(attr.Handled_access_fs)                                                                // the first member alone is what every version knows
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0) //nolint:gosec // the system call takes a pointer
	if errno != 0 {
		return fmt.Errorf("landlock: make a ruleset: %w", errno)
	}
	defer unix.Close(int(ruleset))
	for _, f := range folders {
		if err := permit(ruleset, f); err != nil {
			return err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("landlock: restrict: %w", errno)
	}
	return nil
}

// permit lets a folder, or a file, be read and executed.
func permit(ruleset uintptr, path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("landlock: open %s: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("landlock: stat %s: %w", path, err)
	}
	rights := uint64(fileReads)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &^= unix.LANDLOCK_ACCESS_FS_READ_DIR
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}                                                          //nolint:gosec // a descriptor
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0) //nolint:gosec // the system call takes a pointer
	if errno != 0 {
		return fmt.Errorf("landlock: permit %s: %w", path, errno)
	}
	return nil
}
